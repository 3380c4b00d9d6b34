"""What is measured of aggregators and encoders: folds and seeds averaged within each resample of test patients.

AUROC and average precision are of scores, F1 and accuracy of predictions, whose threshold the held-out folds give.
(The released code takes the AUROC of predictions, and divides the number of right ones by that of batches.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.clear.downstream_settings import MeasuringSettings, TaskKind
from cxrflow.clear.tasks import HELD_OUT, TEST
from cxrflow.label_measures import AUROC, PRECISION, Numbers, areas_of, means_over_labels
from cxrflow.measured import Common, Measured, differences_table, first_against_others, measures_table, over_seeds
from cxrflow.metrics import patient_draws, resampled_f1, weighted_mean
from cxrflow.ranking import Ranking

F1, ACCURACY = "f1", "accuracy"
CLASSES = "classes"
"""The label of numbers that are about the predicted class, among all."""
GROUP = ["encoder", "aggregator", "fraction"]
FAMILY = ["aggregator", "fraction", "metric"]
"""All encoders and labels that are compared with one aggregator, from one share of the labels, by one metric."""


class Key(NamedTuple):
    """What a number is about; the label `mean` is the mean over labels. `train_patients`: how many were learnt from."""

    encoder: str
    aggregator: str
    task: str
    fraction: float
    label: str
    metric: str
    train_patients: float


Measures = dict[Key, Measured]


@dataclass(frozen=True)
class TestBags:
    """The test bags of a task: ids, labels by name (B,), the patient (B,) of each as row of `drawn` (patients, R)."""

    __test__ = False  # no test, whatever its name begins with

    bags: pd.Index
    truth: dict[str, NDArray]
    patient: NDArray[np.intp]
    drawn: NDArray[np.float32]

    @classmethod
    def of(cls, predictions: pd.DataFrame, settings: MeasuringSettings) -> "TestBags":
        """Return them from the predictions of a task."""
        rows = predictions[predictions["split"] == TEST].drop_duplicates(["bag", "label"])
        told = wide(rows, "truth")
        patients = rows.drop_duplicates("bag").set_index("bag")["patient_id"].loc[told.index]
        truth = {str(label): told[label].to_numpy() for label in told}
        return cls(told.index, truth, *patient_draws(patients, settings.resamples, settings.seed))

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """How often each bag is in each resample, (R, B)."""
        return np.ascontiguousarray(self.drawn[self.patient].T)


def measure(
    predictions: pd.DataFrame, first: str, common: Common, settings: MeasuringSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of metrics and of differences from the encoder `first`, of all tasks.

    `predictions` is what `aggregate` wrote of all encoders and seeds; `common` is what all rows carry.
    """
    metrics, differences = [], []
    for task, rows in predictions.groupby("task", sort=False):
        test = TestBags.of(rows, settings)
        measures = measures_of(rows, str(task), test)
        own = {**common, "n_patients": len(test.drawn), "n_folds": int(rows["fold"].nunique())}
        metrics.append(measures_table(measures, Key._fields, own))
        pairs = first_against_others(measures, first)
        differences.append(differences_table(measures, pairs, Key._fields, own, FAMILY))
    return pd.concat(metrics, ignore_index=True), pd.concat(differences, ignore_index=True)


def measures_of(predictions: pd.DataFrame, task: str, test: TestBags) -> Measures:
    """Return all numbers of one task, the mean over folds and seeds."""
    found: Measures = {}
    kind: TaskKind = predictions["kind"].iloc[0]
    for _, rows in predictions.groupby(GROUP, sort=False):
        encoder, aggregator, fraction = rows[GROUP].iloc[0]
        models = [number for _, own in rows.groupby("seed") for number in _of_seed(own, kind, test)]
        patients = float(rows.groupby(["seed", "fold"])["train_patients"].first().mean())
        for label, metric in models[0]:
            key = Key(encoder, aggregator, task, float(fraction), label, metric, patients)
            mean = over_seeds([model[label, metric] for model in models])
            found[key] = mean._replace(n_seeds=int(rows["seed"].nunique()))
    return found


def thresholds(held_out: pd.DataFrame) -> dict[str, float]:
    """Return by label the logit with the highest F1 on the patients held out, all folds together; NaN: one outcome."""
    rows = {str(label): own for label, own in held_out.groupby("label", sort=False)}
    return {label: Ranking.of(own["truth"], own["logit"]).best_threshold() for label, own in rows.items()}


def wide(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return one column per label of one row per bag, both in the order in which they come."""
    labels, bags = rows["label"].drop_duplicates(), rows["bag"].drop_duplicates()
    return rows.pivot_table(value, "bag", "label", dropna=False).loc[bags, labels]


def predicted_classes(logits: NDArray, kind: TaskKind) -> NDArray[np.intp]:
    """Return the class (B,) that log-odds (B, C) predict: the likeliest, or how many steps are likelier than not."""
    return (logits > 0).sum(axis=1) if kind == "ordinal" else logits.argmax(axis=1)


def _of_seed(rows: pd.DataFrame, kind: TaskKind, test: TestBags) -> Iterator[Numbers]:
    """Yield the numbers of each fold's classifier of one seed."""
    limits = thresholds(rows[rows["split"] == HELD_OUT])
    for _, own in rows[rows["split"] == TEST].groupby("fold"):
        logits = wide(own, "logit").loc[test.bags]
        found: Numbers = {}
        for label in test.truth:
            found |= _of_label(label, logits[label].to_numpy(), limits[label], test)
        found |= means_over_labels(found, (AUROC, PRECISION, F1, ACCURACY))
        if kind != "multi-label":
            found[CLASSES, ACCURACY] = _class_accuracy(logits[list(test.truth)].to_numpy(), kind, test)
        yield found


def _of_label(label: str, score: NDArray, threshold: float, test: TestBags) -> Numbers:
    """Return the numbers of one label; none where the test split has one outcome."""
    outcome = test.truth[label]
    found = areas_of(label, outcome, score, test.patient, test.drawn)
    if not found or np.isnan(threshold):
        return found
    known = ~np.isnan(outcome)
    truth, predicted, weights = outcome[known], score[known] >= threshold, test.weights[:, known]
    right = (predicted == (truth > 0)).astype(np.float64)
    f1 = float(resampled_f1(predicted, truth)[0]), resampled_f1(predicted, truth, weights)
    accuracy = float(right.mean()), weighted_mean(right, weights)
    return found | {(label, F1): Measured(*f1, 1, np.nan), (label, ACCURACY): Measured(*accuracy, 1, np.nan)}


def _class_accuracy(logits: NDArray, kind: TaskKind, test: TestBags) -> Measured:
    truth = np.stack(list(test.truth.values()), axis=1)
    told = predicted_classes(np.where(truth > 0, 1.0, -1.0), kind)
    right = (predicted_classes(logits, kind) == told).astype(np.float64)
    return Measured(float(right.mean()), weighted_mean(right, test.weights), 1, np.nan)


def read_predictions(files: Sequence[str]) -> pd.DataFrame:
    """Return the predictions of all encoders and seeds."""
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
