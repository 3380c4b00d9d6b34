"""Gathers what the evaluation reads and writes the four tables of `neural`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxrflow.files import write_twins
from cxrflow.neural.cohort_files import CohortFiles
from cxrflow.neural.compression import compression_table
from cxrflow.neural.evaluation import classifier_table, evaluate_predictions
from cxrflow.neural.exports import Exports
from cxrflow.neural.graphs import Graphs
from cxrflow.neural.pointing import pointing_table
from cxrflow.neural.settings import EvaluationSettings


@dataclass(frozen=True)
class Measured:
    """What is measured: predictions of every seed, graphs, the test split's features, attention on boxed images,
    the vision-language model's own predictions on the validate split."""

    predictions: Sequence[Path]
    graphs: Path
    features: Path
    exports: Exports
    validation: Path


@dataclass(frozen=True)
class ResultFiles:
    """The tables, each written as csv and parquet."""

    metrics: Path
    compression: Path
    pointing: Path
    classifier: Path


def write_results(
    outputs: ResultFiles,
    measured: Measured,
    cohort: CohortFiles,
    layers: str,
    name: str,
    simulated: bool,
    settings: EvaluationSettings,
) -> None:
    """Write metrics, compression, pointing and the classifier's AUCs of cohort `name`."""
    graphs = Graphs.load(measured.graphs)
    store, common = cohort.store(), {"cohort": name, "simulated": simulated}
    write_twins(outputs.metrics, evaluate_predictions(measured.predictions, name, simulated, settings))
    write_twins(outputs.compression, compression_table(graphs, measured.features, store, name, simulated, settings))
    write_twins(outputs.classifier, classifier_table(pd.read_parquet(measured.validation), common, settings))
    samples, scores = measured.exports.read(cohort, layers)
    row = pd.Series(np.arange(len(graphs.image_id)), index=graphs.image_id).loc[samples["image_id"]].to_numpy()
    orders = {selector: order[row] for selector, order in graphs.orders.items()}
    shares = list(zip(graphs.percentiles.tolist(), graphs.kept.tolist(), strict=True))
    write_twins(outputs.pointing, pointing_table(samples, scores, orders, shares, common, settings))
