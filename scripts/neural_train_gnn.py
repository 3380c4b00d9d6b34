"""Train the graph classifier for one seed: every share of patches, input, selector and text.

Needs: graphs, exported features, those of the decoded images (codecs/{codec}_features_{split}.npy), labels.
Leaves: the test split's probabilities, one row per image, target and variant.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.neural.gnn_training import SPLITS, GraphFiles, train_gnn
from cxrflow.neural.settings import GnnSettings


def by_codec(files: list[str]) -> dict[str, dict[str, Path]]:
    """Return the feature files by codec and split, which their names tell."""
    found: dict[str, dict[str, Path]] = {}
    for file in map(Path, files):
        codec, _, split = file.stem.partition("_features_")
        found.setdefault(codec, {})[split] = file
    return found


with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    train_gnn(
        CohortFiles.of(read),
        GraphFiles(
            Path(read.graphs),
            {split: Path(file) for split, file in zip(SPLITS, read.features, strict=True)},
            {split: Path(file) for split, file in zip(SPLITS, read.exported, strict=True)},
            by_codec(read.get("codecs", [])),
        ),
        Path(snakemake.output.predictions),
        GnnSettings.model_validate(params.settings),
        params.uncertain,
        int(snakemake.wildcards.seed),
        snakemake.threads,
        Path(params.states),
        list(read.code),
    )
