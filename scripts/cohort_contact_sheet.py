"""Draw a sheet of radiographs for each label of a cohort.

Needs: the canonical manifest and the images below the raw root. Leaves: one figure, boxes outlined.
"""

from pathlib import Path

from cxrflow.cohort.simulation.contact_sheet import write_contact_sheet
from cxrflow.logs import script_run

with script_run(snakemake):
    params = snakemake.params
    write_contact_sheet(
        Path(snakemake.input.manifest), Path(params.root), Path(snakemake.output.sheet), bool(params.simulated)
    )
