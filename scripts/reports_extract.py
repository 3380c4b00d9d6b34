"""Read findings (status, side, site) and graphs from the report texts.

Needs: the reports table (and RadGraph's files, where these are the extractor). Leaves: a row per mention of a finding,
one RadGraph-schema graph per study, and what was refused of the annotations.
"""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.quarantine import Quarantine
from cxrflow.logs import script_run
from cxrflow.reports.extract import write_extraction
from cxrflow.reports.settings import ExtractSettings

with script_run(snakemake):
    params, output = snakemake.params, snakemake.output
    reports = pd.read_parquet(snakemake.input.reports, columns=["study_id", "findings", "impression", "text"])
    refused = Quarantine(snakemake.rule)
    write_extraction(
        reports,
        Path(output.findings),
        Path(output.graphs),
        ExtractSettings.model_validate(params.settings),
        workers=snakemake.threads,
        annotations=[Path(file) for file in snakemake.input.annotations],
        refused=refused,
    )
    refused.settle(Path(output.quarantine), len(reports), params.on_bad_input, params.maximum_quarantined)
