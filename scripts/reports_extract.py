"""Read findings (status, side) and graphs from the report texts.

Needs: the reports table. Leaves: a row per mention of a finding, and one RadGraph-schema graph per study.
"""

from pathlib import Path

import pandas as pd

from cxrflow.logs import script_run
from cxrflow.reports.extract import write_extraction
from cxrflow.reports.settings import ExtractSettings

with script_run(snakemake):
    write_extraction(
        pd.read_parquet(snakemake.input.reports, columns=["study_id", "text"]),
        Path(snakemake.output.findings),
        Path(snakemake.output.graphs),
        ExtractSettings.model_validate(snakemake.params.settings),
        workers=snakemake.threads,
    )
