"""Train the long-tailed classifier of one seed.

Needs: manifest, split, image store. Leaves: weights, history, the best epoch's predictions on the validate split.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.processes import run_on_gpus
from cxrflow.prunecxr.settings import DataSettings, NetworkSettings, TrainingSettings
from cxrflow.prunecxr.training import TrainedFiles, TrainingChoice, train_classifier

with script_run(snakemake):
    run_on_gpus(snakemake)
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    train_classifier(
        CohortFiles.of(read),
        TrainedFiles(*map(Path, (made.weights, made.history, made.validation, params.resume))),
        TrainingChoice(
            DataSettings.model_validate(params.data),
            NetworkSettings.model_validate(params.network),
            TrainingSettings.model_validate(params.training),
            int(snakemake.wildcards.seed),
            snakemake.threads,
        ),
        list(read.code),
    )
