"""Have the trained model write a report for every radiograph, from the image alone.

Needs: the model, its tokenizer, the cohort's tables and images. Leaves: one text per image, by split.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.neural.generation import generate_reports
from cxrflow.neural.settings import DataSettings, TextSettings, VlmSettings

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    for split, written in zip(params.splits, snakemake.output.written, strict=True):
        generate_reports(
            CohortFiles.of(read),
            Path(read.weights),
            Path(read.tokenizer),
            split,
            Path(written),
            DataSettings.model_validate(params.data),
            VlmSettings.model_validate(params.settings),
            TextSettings.model_validate(params.texts),
            snakemake.threads,
        )
