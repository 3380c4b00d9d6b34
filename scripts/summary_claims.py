"""Hold what the papers claim against what this run has measured.

Needs: tables of the systems. Leaves: a table of all claims, and one per cohort.
"""

from pathlib import Path

import pandas as pd

from cxrflow.files import write_twins
from cxrflow.logs import script_run
from cxrflow.summary.claims import Place, claims_table
from cxrflow.summary.published_claims import CLAIMS

with script_run(snakemake):
    places = [
        Place(cohort, Path(folder), simulated, systems)
        for cohort, folder, simulated, systems in snakemake.params.cohorts
    ]
    tables = [claims_table(place, CLAIMS) for place in places]
    for table, file in zip(tables, snakemake.output.tables, strict=True):
        write_twins(file, table)
    write_twins(snakemake.output.all, pd.concat(tables, ignore_index=True))
