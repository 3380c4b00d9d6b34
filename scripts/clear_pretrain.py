"""Pretrain an encoder of CT slices without labels (MoCo v3), with lesion-aware views and loss in the variants of LeCL.

Needs: manifest, split, image store, and the weights to start from where they are named. Leaves: weights, history and
checkpoints of one variant and seed.
"""

from pathlib import Path

from cxrflow.clear.pretraining import PretrainedFiles, PretrainingChoice, pretrain
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.processes import run_on_gpus

with script_run(snakemake):
    run_on_gpus(snakemake)
    made, params = snakemake.output, snakemake.params
    pretrain(
        CohortFiles.of(snakemake.input),
        PretrainedFiles(*map(Path, (made.weights, made.history, made.checkpoints, params.resume))),
        PretrainingChoice.of(params, int(snakemake.wildcards.seed), snakemake.threads),
        list(snakemake.input.code),
    )
