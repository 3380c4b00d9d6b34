"""Show the exemplars of a cohort on a page of their own.

Needs: the table of exemplars, predictions of all seeds, the canonical tables, and the image store. Leaves: one HTML
file that needs no network and names no patient.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.forgetting.browser import browse_exemplars
from cxrflow.forgetting.settings import ExemplarSettings
from cxrflow.logs import script_run

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    browse_exemplars(
        Path(snakemake.output.page),
        Path(read.pie),
        [Path(file) for file in read.predictions],
        CohortFiles.of(read),
        params.model,
        ExemplarSettings.model_validate(params.exemplars),
        params.uncertain,
        params.axis,
    )
