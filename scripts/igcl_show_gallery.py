"""Show radiographs of the test split with the report graphs that their vectors are nearest to.

Needs: manifest, split, reports, image store, report graphs, vectors of the test split. Leaves: one HTML file that needs
no network and names no patient.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.igcl.gallery import show_gallery
from cxrflow.igcl.transfer_settings import EvaluationSettings
from cxrflow.logs import script_run

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    show_gallery(
        Path(snakemake.output.page),
        Path(read.embeddings),
        Path(read.report_graphs),
        CohortFiles.of(read),
        params.simulated,
        EvaluationSettings.model_validate(params.settings),
    )
