"""Train the graph classifier for one seed: every share of patches, input and selector.

Needs: graphs, exported features, labels. Leaves: the test split's probabilities, one row per image, target and variant.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.neural.cohort_files import CohortFiles
from cxrflow.neural.gnn_training import SPLITS, GraphFiles, train_gnn
from cxrflow.neural.settings import GnnSettings

with script_run(snakemake):
    read = snakemake.input
    train_gnn(
        CohortFiles.of(read),
        GraphFiles(
            Path(read.graphs),
            {split: Path(file) for split, file in zip(SPLITS, read.features, strict=True)},
            {split: Path(file) for split, file in zip(SPLITS, read.exported, strict=True)},
        ),
        Path(snakemake.output.predictions),
        GnnSettings.model_validate(snakemake.params.settings),
        snakemake.params.uncertain,
        int(snakemake.wildcards.seed),
        snakemake.threads,
    )
