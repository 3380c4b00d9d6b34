"""Measure classification, compression, and whether attention points at the findings.

Needs: predictions of all seeds, graphs, attention of the validate and test splits. Leaves: four results tables.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.neural.cohort_files import CohortFiles
from cxrflow.neural.exports import Exports
from cxrflow.neural.results import Measured, ResultFiles, write_results
from cxrflow.neural.settings import EvaluationSettings

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    exports = Exports([Path(file) for file in read.attention], [Path(file) for file in read.exported])
    predictions = [Path(file) for file in read.predictions]
    write_results(
        ResultFiles(*map(Path, (made.metrics, made.compression, made.pointing, made.classifier))),
        Measured(predictions, Path(read.graphs), Path(read.features), exports, Path(read.validation)),
        CohortFiles.of(read),
        params.layers,
        snakemake.wildcards.cohort,
        params.simulated,
        EvaluationSettings.model_validate(params.settings),
    )
