"""Make the chest that images are simulated from.

Needs: the installed package that ships the scan. Leaves: the anatomy that the wildcard names, as one npz.
"""

from pathlib import Path

from cxrflow.cohort.simulation.chests import save_chest
from cxrflow.logs import script_run

with script_run(snakemake):
    save_chest(snakemake.wildcards.anatomy, Path(snakemake.output.anatomy))
