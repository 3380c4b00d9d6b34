"""Run the trained model once over all radiographs and keep patch features, and the attention of each text setting.

Needs: the model, its tokenizer, the cohort's tables and images, the texts. Leaves: features, their norms, attention and
image ids, by split.
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
    text_files = {text: TextFiles(Path(table), Path(graphs)) for text, table, graphs in texts}
    parts = zip(made.features, made.norms, made.attention, made.images, strict=True)
    for split, files in zip(params.splits, parts, strict=True):
        export_attention(
            CohortFiles.of(read),
            Path(read.weights),
            Path(read.tokenizer),
            text_files,
            split,
            ExportFiles(*map(Path, files)),
            DataSettings.model_validate(params.data),
            VlmSettings.model_validate(params.settings),
            AttentionSettings.model_validate(params.attention),
            snakemake.threads,
        )
