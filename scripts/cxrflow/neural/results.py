"""Gathers what the evaluation reads and writes the results tables of `neural`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import write_twins
from cxrflow.neural.compression import compression_table
from cxrflow.neural.evaluation import classifier_table, evaluate_predictions, paired_differences, scored_variants
from cxrflow.neural.exports import Exports
from cxrflow.neural.graphs import Graphs
from cxrflow.neural.pointing import pointing_table
from cxrflow.neural.report_quality import ReportFiles, empty_quality, report_quality
from cxrflow.neural.settings import EvaluationSettings

Common = Mapping[str, object]


@dataclass(frozen=True)
class Measured:
    """What is measured: predictions of every seed, graphs, the test split's features, the bytes of its radiographs by
    codec, the vision-language model's own predictions on the validate split; attention on boxed images, of which
    decoder layers and text settings; the model's reports and the references. Where it wrote none these are None.
    """

    predictions: Sequence[Path]
    graphs: Path
    features: Path
    codecs: Mapping[str, Path]
    validation: Path
    exports: Exports
    layers: str
    texts: Sequence[str]
    generated: ReportFiles | None
    reference: ReportFiles | None


@dataclass(frozen=True)
class ResultFiles:
    """The tables, each written as csv and parquet."""

    metrics: Path
    differences: Path
    compression: Path
    pointing: Path
    classifier: Path
    report_quality: Path


def write_results(
    outputs: ResultFiles,
    measured: Measured,
    cohort: CohortFiles,
    name: str,
    simulated: bool,
    settings: EvaluationSettings,
    threads: int = 1,
) -> None:
    """Write all tables of cohort `name`."""
    graphs, store, read = Graphs.load(measured.graphs), cohort.store(), measured
    about, common = (name, simulated, settings), {"cohort": name, "simulated": simulated}
    scored = scored_variants(read.predictions, settings)
    write_twins(outputs.metrics, evaluate_predictions(scored, name, simulated))
    write_twins(outputs.differences, paired_differences(scored, name, simulated))
    write_twins(outputs.compression, compression_table(graphs, read.features, store, read.codecs, *about, threads))
    write_twins(outputs.classifier, classifier_table(pd.read_parquet(read.validation), common, settings))
    write_twins(outputs.pointing, measured_pointing(read, graphs, cohort, common, settings))
    write_twins(outputs.report_quality, measured_quality(read, cohort, common, settings))


def measured_pointing(
    measured: Measured, graphs: Graphs, cohort: CohortFiles, common: Common, settings: EvaluationSettings
) -> pd.DataFrame:
    """Return `pointing_table` of the exported radiographs in every text setting; their rankings are in `graphs`."""
    read = {text: measured.exports.read(cohort, measured.layers, text) for text in measured.texts}
    samples = read[measured.texts[0]][0]
    row = pd.Series(np.arange(len(graphs.image_id)), index=graphs.image_id).loc[samples["image_id"]].to_numpy()
    orders = {key: order[row] for key, order in graphs.orders.items()}
    shares = list(zip(graphs.percentiles.tolist(), graphs.kept.tolist(), strict=True))
    scores = {text: values for text, (_, values) in read.items()}
    return pointing_table(samples, scores, orders, shares, common, settings)


def measured_quality(
    measured: Measured, cohort: CohortFiles, common: Common, settings: EvaluationSettings
) -> pd.DataFrame:
    """Return the quality of the model's reports; an empty table where there are none."""
    if measured.generated is None or measured.reference is None:
        return empty_quality(common)
    return report_quality(cohort.samples([], "zero"), measured.generated, measured.reference, common, settings)
