"""Have the trained model write a report for every radiograph of a split, from the image alone.

Needs: the model, its tokenizer, the cohort's tables and images. Leaves: one text per image.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.neural.generation import generate_reports
from cxrflow.neural.settings import DataSettings, TextSettings, VlmSettings

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    generate_reports(
        CohortFiles.of(read),
        Path(read.weights),
        Path(read.tokenizer),
        snakemake.wildcards.split,
        Path(snakemake.output.texts),
        DataSettings.model_validate(params.data),
        VlmSettings.model_validate(params.settings),
        TextSettings.model_validate(params.texts),
        snakemake.threads,
    )
