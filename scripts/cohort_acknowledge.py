"""The gate before credentialed data: nothing is read until its data use agreement is acknowledged.

Needs: the cohort's name in `acknowledge_dua`. Leaves: a note of it.
"""

from pathlib import Path

from cxrflow.cohort.data_use import acknowledge
from cxrflow.logs import script_run

with script_run(snakemake):
    params = snakemake.params
    acknowledge(Path(snakemake.output.data_use), snakemake.wildcards.cohort, params.format, params.acknowledged)
