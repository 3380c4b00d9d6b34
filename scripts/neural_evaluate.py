"""Measure classification, compression, pointing, and the quality of generated reports.

Needs: predictions of all seeds, graphs, bytes of codecs, attention of the validate and test splits, and reports where
the model wrote some. Leaves: six results tables.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.neural.exports import Exports
from cxrflow.neural.report_quality import ReportFiles
from cxrflow.neural.results import Measured, ResultFiles, write_results
from cxrflow.neural.settings import EvaluationSettings

TABLES = ("metrics", "differences", "compression", "pointing", "classifier", "report_quality")

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    write_results(
        ResultFiles(*(Path(getattr(made, table)) for table in TABLES)),
        Measured(
            predictions=[Path(file) for file in read.predictions],
            graphs=Path(read.graphs),
            features=Path(read.features),
            codecs=dict(zip(params.codecs, map(Path, getattr(read, "codecs", [])), strict=True)),
            validation=Path(read.validation),
            exports=Exports([Path(file) for file in read.attention], [Path(file) for file in read.exported]),
            layers=params.layers,
            texts=params.texts,
            generated=ReportFiles.of(read, "generated"),
            reference=ReportFiles.of(read, "reference"),
        ),
        CohortFiles.of(read),
        snakemake.wildcards.cohort,
        params.simulated,
        EvaluationSettings.model_validate(params.settings),
        snakemake.threads,
    )
