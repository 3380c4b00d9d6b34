"""Run the trained model once over a split and keep patch features and attention.

Needs: the model, its tokenizer, the cohort's tables and images. Leaves: features, attention and image ids of one split.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.neural.attention import ExportFiles, export_attention
from cxrflow.neural.cohort_files import CohortFiles
from cxrflow.neural.settings import AttentionSettings, DataSettings, VlmSettings

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    export_attention(
        CohortFiles.of(read),
        Path(read.weights),
        Path(read.tokenizer),
        snakemake.wildcards.split,
        ExportFiles(*map(Path, (made.features, made.attention, made.images))),
        DataSettings.model_validate(params.data),
        VlmSettings.model_validate(params.settings),
        AttentionSettings.model_validate(params.attention),
        snakemake.threads,
    )
