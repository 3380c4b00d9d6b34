"""Predict the test split with one seed's classifier at every sparsity.

Needs: the trained weights, manifest, split, image store. Leaves: a table of predictions and the speed of each pass.
"""

from pathlib import Path

from cxrflow.classification.settings import DataSettings, NetworkSettings
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.prunecxr.settings import SweepSettings
from cxrflow.prunecxr.sweep import SweepChoice, SweepFiles, sweep

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    sweep(
        CohortFiles.of(read),
        SweepFiles(*map(Path, (read.weights, made.predictions, made.speed, params.waiting))),
        SweepChoice(
            DataSettings.model_validate(params.data),
            NetworkSettings.model_validate(params.network),
            SweepSettings.model_validate(params.sweep),
            int(snakemake.wildcards.seed),
            int(snakemake.wildcards.chunk),
        ),
        snakemake.threads,
    )
