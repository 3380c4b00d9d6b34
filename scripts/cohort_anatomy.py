"""Make the chest that radiographs are simulated from.

Needs: the installed package that ships the scan. Leaves: the anatomy that the wildcard names, as one npz.
"""

from pathlib import Path

from cxrflow.cohort.simulation.anatomy import save_anatomy
from cxrflow.cohort.simulation.chests import build_anatomy
from cxrflow.logs import script_run

with script_run(snakemake):
    save_anatomy(build_anatomy(snakemake.wildcards.anatomy), Path(snakemake.output.anatomy))
