"""Measure whether radiographs and report graphs of the test split find each other.

Needs: manifest, split, reports, image index, vectors of the test split. Leaves: a results table.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import write_twins
from cxrflow.igcl.retrieval_measures import Embeddings, retrieval_table
from cxrflow.igcl.transfer_settings import EvaluationSettings
from cxrflow.logs import script_run

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    about = {"cohort": snakemake.wildcards.cohort, "simulated": params.simulated}
    found = Embeddings.read(Path(read.embeddings), CohortFiles.of(read))
    settings = EvaluationSettings.model_validate(params.settings)
    write_twins(snakemake.output.table, retrieval_table(found, about, settings))
