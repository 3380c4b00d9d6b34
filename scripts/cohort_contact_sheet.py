"""Draw a sheet of radiographs for each label of a cohort.

Needs: the canonical manifest, the index of decoded images, and the raw images. Leaves: one figure, boxes outlined.
"""

from pathlib import Path

from cxrflow.cohort.contact_sheet import write_contact_sheet
from cxrflow.logs import script_run

with script_run(snakemake):
    files, params = snakemake.input, snakemake.params
    sheet = Path(snakemake.output.sheet)
    write_contact_sheet(
        Path(files.manifest), Path(files.index), Path(params.root), sheet, params.simulated, params.window
    )
