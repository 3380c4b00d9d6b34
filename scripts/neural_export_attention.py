"""Run the trained model once over a split and keep patch features, and the attention of each text setting.

Needs: the model, its tokenizer, the cohort's tables and images, the texts. Leaves: features, their norms, attention and
image ids of one split.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.neural.attention import ExportFiles, export_attention
from cxrflow.neural.settings import AttentionSettings, DataSettings, VlmSettings
from cxrflow.neural.texts import TextFiles

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    texts = zip(params.texts, read.texts, read.text_graphs, strict=True)
    export_attention(
        CohortFiles.of(read),
        Path(read.weights),
        Path(read.tokenizer),
        {text: TextFiles(Path(table), Path(graphs)) for text, table, graphs in texts},
        snakemake.wildcards.split,
        ExportFiles(*map(Path, (made.features, made.norms, made.attention, made.images))),
        DataSettings.model_validate(params.data),
        VlmSettings.model_validate(params.settings),
        AttentionSettings.model_validate(params.attention),
        snakemake.threads,
    )
