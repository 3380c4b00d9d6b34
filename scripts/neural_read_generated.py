"""Read findings and graphs from the reports that the model wrote.

Needs: the written reports of all splits. Leaves: a row per mention of a finding, one RadGraph-schema graph per image.
"""

from pathlib import Path

import pandas as pd

from cxrflow.logs import script_run
from cxrflow.reports.extract import write_extraction
from cxrflow.reports.settings import ExtractSettings

with script_run(snakemake):
    settings = ExtractSettings.model_validate(snakemake.params.settings)
    if settings.extractor == "radgraph-json":  # nobody annotated what a model wrote: rules read it
        settings = settings.model_copy(update={"extractor": "rules"})
    write_extraction(
        pd.concat([pd.read_parquet(file, columns=["study_id", "text"]) for file in snakemake.input.texts]),
        Path(snakemake.output.findings),
        Path(snakemake.output.graphs),
        settings,
        workers=snakemake.threads,
    )
