"""Score the graphs of the rules against RadGraph's two radiologists.

Needs: RadGraph's test.json. Leaves: precision, recall and F1 of entities and relations, by data source and label.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.reports.radgraph_agreement import write_agreement
from cxrflow.reports.settings import ExtractSettings

with script_run(snakemake):
    write_agreement(
        Path(str(snakemake.input.annotations)),
        Path(snakemake.output.table),
        ExtractSettings.model_validate(snakemake.params.settings),
        snakemake.params.resamples,
        snakemake.params.seed,
    )
