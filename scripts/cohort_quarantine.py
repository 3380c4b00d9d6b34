"""Collect the refused rows of all rules of a cohort.

Needs: their quarantine tables. Leaves: one table to read (of credentialed data without ids).
"""

from pathlib import Path

from cxrflow.cohort.quarantine import collected
from cxrflow.files import write_table
from cxrflow.logs import script_run

with script_run(snakemake):
    parts = [Path(part) for part in snakemake.input.parts]
    write_table(snakemake.output.table, collected(parts, snakemake.params.hides_ids))
