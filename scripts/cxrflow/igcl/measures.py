"""What is measured of classifiers: seeds averaged within each resample of patients, and paired differences."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.igcl.matthews import best_threshold, matthews, matthews_as_released
from cxrflow.igcl.test_split import TestSplit
from cxrflow.igcl.transfer_settings import NO_FINDING
from cxrflow.metrics import holm, interval, two_sided_p
from cxrflow.ranking import Ranking
from cxrflow.resampled_areas import resampled_areas

MEAN = "mean"
"""What tables call the mean over labels, which leaves `No Finding` out."""
AUROC, MCC, RELEASED_MCC = "auroc", "mcc", "mcc as released"
KEY = ["mode", "fraction", "shots"]
"""What classifiers of one kind, one per seed, have in common."""


class Key(NamedTuple):
    """What a number is about; shares and shots are None where the other is given (NaN is unlike itself)."""

    initialisation: str
    mode: str
    fraction: float | None
    shots: float | None
    label: str
    metric: str


class Measured(NamedTuple):
    """The mean over seeds of a metric and of its resamples (R,), the number of seeds, patients that were learnt from
    (the mean over seeds), and what chance gives."""

    value: float
    resampled: NDArray[np.float64]
    n_seeds: int
    train_patients: float
    chance: float


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
            value = float(np.mean([seed[name][0] for seed in seeds]))
            resampled = np.mean([seed[name][1] for seed in seeds], axis=0)
            chance = 0.5 if name[1] == AUROC else 0.0
            key = Key(initialisation, mode, fraction, shots, *name)
            found[key] = Measured(value, resampled, len(seeds), patients, chance)
    return found


Numbers = dict[tuple[str, str], tuple[float, NDArray[np.float64]]]
"""A value and its resamples, by label and metric."""


def _of_seed(rows: pd.DataFrame, test: TestSplit) -> Numbers:
    """Return the numbers of one classifier and their means over labels."""
    scores = {str(split): own.set_index("image_id") for split, own in rows.groupby("split")}
    found: Numbers = {}
    for label in test.labels:
        found |= _of_label(label, scores, test)
    return found | _means(found)


def _of_label(label: str, scores: Mapping[str, pd.DataFrame], test: TestSplit) -> Numbers:
    """Return the numbers of one label; none where the test split has one outcome."""
    outcome, score = test.truth["test"][label].to_numpy(), scores["test"][label].loc[test.ids("test")].to_numpy()
    ranking = Ranking.of(outcome, score)
    if ranking.one_outcome:
        return {}
    known = ~np.isnan(outcome)
    weights, truth = test.weights[:, known], outcome[known]
    found = {
        (label, AUROC): (ranking.auroc(), resampled_areas(ranking, test.patient, test.drawn)[0]),
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


def _with_resamples(metric: Metric, one: NDArray, other: NDArray, weights: NDArray) -> tuple[float, NDArray]:
    return float(metric(one, other)[0]), metric(one, other, weights)


def _means(found: Numbers) -> Numbers:
    """Return the means over labels, `No Finding` left out; a resample counts where all of them have a value."""
    means: Numbers = {}
    for metric in (AUROC, MCC, RELEASED_MCC):
        parts = [number for (label, own), number in found.items() if own == metric and label != NO_FINDING]
        if parts:
            resampled = np.mean([part[1] for part in parts], axis=0)
            means[MEAN, metric] = float(np.mean([part[0] for part in parts])), resampled
    return means


def measures_table(measures: Measures, common: Mapping[str, object]) -> pd.DataFrame:
    """Return one row per number, with its interval over resamples of patients."""
    rows = [
        {
            **common,
            "n_seeds": found.n_seeds,
            **key._asdict(),
            "train_patients": found.train_patients,
            **interval(found.value, found.resampled)._asdict(),
            "chance": found.chance,
        }
        for key, found in measures.items()
    ]
    columns = [*common, "n_seeds", *Key._fields, "train_patients", "value", "low", "high", "chance"]
    return pd.DataFrame(rows, columns=columns)


def differences_table(measures: Measures, first: str, common: Mapping[str, object]) -> pd.DataFrame:
    """Return one row per number that the initialisation `first` and another one have: how much higher its own is.

    Both on the same resamples of patients; `p_holm` is adjusted for all initialisations and labels that are compared
    in one mode, by one metric, from as many labels.
    """
    rows = [
        {**common, **key._asdict(), "against": other.initialisation, **_difference(measures[key], measures[other])}
        for key, other in _compared(measures, first)
    ]
    table = pd.DataFrame(rows, columns=[*common, *Key._fields, "against", "value", "low", "high", "p"])
    groups = table.groupby(["mode", "fraction", "shots", "metric"], dropna=False)["p"]
    return table.assign(p_holm=groups.transform(lambda p: holm(p.to_numpy())))


def _compared(measures: Measures, first: str) -> Iterator[tuple[Key, Key]]:
    own = {key[1:]: key for key in measures if key.initialisation == first}
    for other in measures:
        if other.initialisation != first and other[1:] in own:
            yield own[other[1:]], other


def _difference(one: Measured, other: Measured) -> dict[str, float]:
    change = one.resampled - other.resampled
    bounds = interval(one.value - other.value, change)
    return {**bounds._asdict(), "p": np.nan if np.isnan(bounds.value) else two_sided_p(change)}
