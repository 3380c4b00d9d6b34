"""Measure retrieval, classification, grounding and masks of all models.

Needs: the data set, exports of all models and seeds. Leaves: six results tables.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.patchib.exported import Exported
from cxrflow.patchib.results import ResultFiles, write_results
from cxrflow.patchib.settings import EvaluationSettings

TABLES = ("metrics", "differences", "grounding", "shares", "robustness", "curves")

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    write_results(
        ResultFiles(*(Path(getattr(made, table)) for table in TABLES)),
        [
            Exported(model, seed, Path(file))
            for (model, seeds), file in zip(params.models.items(), read.exports, strict=True)
            for seed in seeds
        ],
        CohortFiles.of(read),
        Path(read.master),
        {"cohort": snakemake.wildcards.cohort, "simulated": params.simulated},
        EvaluationSettings.model_validate(params.settings),
    )
