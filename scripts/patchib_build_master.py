"""Write the data set of patchib: every frontal radiograph with the text of its report, its labels and its split.

Needs: manifest, split, reports and the index of the image store. Leaves: JSON lines, a table of what is in each split,
and one of what each rule left out.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.patchib.data_settings import MasterSettings
from cxrflow.patchib.master import MasterFiles, build_master

with script_run(snakemake):
    made, params = snakemake.output, snakemake.params
    build_master(
        CohortFiles.of(snakemake.input),
        MasterFiles(Path(made.master), Path(made.distribution), Path(made.dropped)),
        MasterSettings(**{name: params.data[name] for name in MasterSettings.model_fields}),
        snakemake.wildcards.cohort,
        params.simulated,
    )
