"""Train the small image encoder that stands for published weights.

Needs: manifest, split, image store. Leaves: weights, history, the best epoch's predictions on the validate split.
"""

from pathlib import Path

from cxrflow.classification.training import TrainedFiles, TrainingChoice, train_classifier
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.processes import run_on_gpus

with script_run(snakemake):
    run_on_gpus(snakemake)
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    train_classifier(
        CohortFiles.of(read),
        TrainedFiles(*map(Path, (made.weights, made.history, made.validation, params.resume))),
        TrainingChoice.of(params, params.training["seeds"][0], snakemake.threads),
        list(read.code),
    )
