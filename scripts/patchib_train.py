"""Train one model with one seed: first its new modules and projections, then everything.

Needs: the data set, image store, towers. Leaves: weights, history.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.patchib.training import ModelChoice, ModelFiles, train_model
from cxrflow.processes import run_on_gpus

with script_run(snakemake):
    run_on_gpus(snakemake)
    read, made, params, wildcards = snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards
    train_model(
        CohortFiles.of(read),
        Path(read.master),
        ModelFiles(Path(made.weights), Path(made.history), Path(params.resume)),
        ModelChoice.of(wildcards.model, int(wildcards.seed), params, snakemake.threads),
        list(read.code),
    )
