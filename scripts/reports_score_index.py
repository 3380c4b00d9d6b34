"""Compare the extraction with the human index of the real Open-I reports.

Needs: nothing but the installed reports. Leaves: F1 of findings, sides and sites, on tuned and on unseen reports.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.reports.index_scores import write_index_scores
from cxrflow.reports.settings import ExtractSettings

with script_run(snakemake):
    write_index_scores(
        Path(snakemake.output.table),
        ExtractSettings.model_validate(snakemake.params.settings),
        snakemake.params.resamples,
        snakemake.params.seed,
        workers=snakemake.threads,
    )
