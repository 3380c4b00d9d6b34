"""Measure the classifiers of all initialisations.

Needs: manifest, split, image index, predictions of all initialisations. Leaves: two results tables and all of them as
JSON.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.igcl.results import ResultFiles, write_results
from cxrflow.igcl.transfer_settings import EvaluationSettings, TransferSettings
from cxrflow.logs import script_run

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    write_results(
        ResultFiles(*map(Path, (made.metrics, made.differences, made.summary))),
        dict(zip(params.initialisations, map(Path, read.predictions), strict=True)),
        CohortFiles.of(read),
        {"cohort": snakemake.wildcards.cohort, "simulated": params.simulated},
        TransferSettings.model_validate(params.transfer),
        EvaluationSettings.model_validate(params.settings),
    )
