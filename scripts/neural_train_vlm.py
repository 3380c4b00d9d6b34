"""Train the vision-language model whose attention will prune the radiographs.

Needs: manifest, reports, split, image store, and the backbone where the encoder starts from it. Leaves: weights,
tokenizer, history, validation predictions.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.neural.settings import DataSettings, VlmSettings
from cxrflow.neural.vlm_training import VlmFiles, train_vlm
from cxrflow.processes import run_on_gpus

with script_run(snakemake):
    run_on_gpus(snakemake)
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    train_vlm(
        CohortFiles.of(read),
        VlmFiles(*map(Path, (made.weights, made.tokenizer, made.history, made.validation, params.resume))),
        DataSettings.model_validate(params.data),
        VlmSettings.model_validate(params.settings),
        list(read.code),
        snakemake.threads,
        Path(read.backbone) if read.backbone else None,
    )
