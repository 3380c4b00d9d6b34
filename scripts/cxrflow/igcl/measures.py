"""What is measured of classifiers: seeds averaged within each resample of patients, and paired differences."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow import measured
from cxrflow.igcl.test_split import TestSplit
from cxrflow.igcl.transfer_settings import NO_FINDING
from cxrflow.label_measures import AUROC, Numbers, areas_of, means_over_labels
from cxrflow.matthews import best_threshold, matthews, matthews_as_released
from cxrflow.measured import Common, Measured, first_against_others, over_seeds

MCC, RELEASED_MCC = "mcc", "mcc as released"
KEY = ["mode", "fraction", "shots"]
"""What classifiers of one kind, one per seed, have in common."""


class Key(NamedTuple):
    """What a number is about; shares and shots are None where the other is given (NaN is unlike itself).

    The label `mean` is the mean over labels, which leaves `No Finding` out. `train_patients` is how many patients'
    labels were learnt from, the mean over seeds.
    """

    initialisation: str
    mode: str
    fraction: float | None
    shots: float | None
    label: str
    metric: str
    train_patients: float


Measures = dict[Key, Measured]
Metric = Callable[..., NDArray[np.float64]]


def measures_of(predictions: pd.DataFrame, initialisation: str, test: TestSplit) -> Measures:
    """Return AUROC and Matthews' correlation per label and their means, for all modes and shares of labels.

    `predictions` is what `transfer` wrote. The threshold of the correlation is chosen on the validate split, seed by
    seed; `mcc as released` chooses it from the labels of the test split.
    """
    found: Measures = {}
    for _, rows in predictions.groupby(KEY, dropna=False, sort=False):
        mode, *level = rows[KEY].iloc[0]
        fraction, shots = (None if np.isnan(part) else float(part) for part in level)
        seeds = [_of_seed(own, test) for _, own in rows.groupby("seed", sort=True)]
        patients = float(rows.groupby("seed")["train_patients"].first().mean())
        for name in seeds[0]:
            key = Key(initialisation, mode, fraction, shots, *name, patients)
            found[key] = over_seeds([seed[name] for seed in seeds])
    return found


def _of_seed(rows: pd.DataFrame, test: TestSplit) -> Numbers:
    """Return the numbers of one classifier and their means over labels, `No Finding` left out."""
    scores = {str(split): own.set_index("image_id") for split, own in rows.groupby("split")}
    found: Numbers = {}
    for label in test.labels:
        found |= _of_label(label, scores, test)
    return found | means_over_labels(found, (AUROC, MCC, RELEASED_MCC), left_out={NO_FINDING})


def _of_label(label: str, scores: Mapping[str, pd.DataFrame], test: TestSplit) -> Numbers:
    """Return the numbers of one label; none where the test split has one outcome."""
    outcome, score = test.truth["test"][label].to_numpy(), scores["test"][label].loc[test.ids("test")].to_numpy()
    areas = areas_of(label, outcome, score, test.patient, test.drawn)
    if not areas:
        return {}
    known = ~np.isnan(outcome)
    weights, truth = test.weights[:, known], outcome[known]
    found = {
        (label, AUROC): areas[label, AUROC],
        (label, RELEASED_MCC): _with_resamples(matthews_as_released, truth, score[known], weights),
    }
    threshold = validated_threshold(label, scores["validate"], test)
    if not np.isnan(threshold):
        found[label, MCC] = _with_resamples(matthews, score[known] >= threshold, truth, weights)
    return found


def validated_threshold(label: str, scores: pd.DataFrame, test: TestSplit) -> float:
    """Return the threshold with the highest correlation on the validate split; NaN where that has one outcome."""
    outcome, score = test.truth["validate"][label].to_numpy(), scores[label].loc[test.ids("validate")].to_numpy()
    known = ~np.isnan(outcome)
    return best_threshold(outcome[known], score[known]) if known.any() else np.nan


def _with_resamples(metric: Metric, one: NDArray, other: NDArray, weights: NDArray) -> Measured:
    """Return a correlation, for which chance gives 0."""
    return Measured(float(metric(one, other)[0]), metric(one, other, weights), 1, 0.0)


def differences_table(measures: Measures, first: str, common: Common) -> pd.DataFrame:
    """Return one row per number that the initialisation `first` and another one have: how much higher its own is.

    Both on the same resamples of patients; `p_holm` is adjusted for all initialisations and labels that are compared
    in one mode, by one metric, from as many labels.
    """
    pairs = first_against_others(measures, first)
    return measured.differences_table(measures, pairs, Key._fields, common, ("mode", "fraction", "shots", "metric"))
