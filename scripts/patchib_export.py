"""Run a trained model over all splits, seed by seed: embeddings, masks, heat maps, removal curves.

Needs: the data set, image store, towers, weights of all seeds. Leaves: one file of arrays.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.patchib.export import export_models
from cxrflow.patchib.settings import EvaluationSettings
from cxrflow.patchib.training import ModelChoice

with script_run(snakemake):
    read, made, params, wildcards = snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards
    choices = [ModelChoice.of(wildcards.model, seed, params, snakemake.threads) for seed in params.seeds]
    export_models(
        CohortFiles.of(read),
        Path(read.master),
        dict(zip(map(Path, read.weights), choices, strict=True)),
        Path(made.arrays),
        EvaluationSettings.model_validate(params.settings),
    )
