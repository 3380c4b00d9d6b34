"""Collect the refused rows of all rules of a cohort.

Needs: their quarantine tables. Leaves: one table to read.
"""

import pandas as pd

from cxrflow.files import write_table
from cxrflow.logs import script_run

with script_run(snakemake):
    write_table(snakemake.output.table, pd.concat([pd.read_csv(part, dtype=str) for part in snakemake.input.parts]))
