"""The only place where a metric or an interval is computed: exact with ties, vectorised over bootstrap resamples.

A resample draws patients with replacement; all examples of a patient come with it. It is held as a row of weights,
the number of times each example was drawn, so that scores are sorted once and not once per resample.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrflow.ranking import Ranking, ratio

Floats = NDArray[np.float64]
Metric = Callable[[NDArray, NDArray, NDArray | None], Floats]
_CELLS = 8_000_000  # resamples x examples held at once
ABOVE_HALF = float(np.nextafter(np.float32(0.5), np.float32(1)))
"""The lowest probability (float32) that counts as a prediction when the threshold is "above 0.5"."""


class Estimate(NamedTuple):
    """A value with the ends of its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


def auroc(outcome: ArrayLike, score: ArrayLike, weights: NDArray | None = None) -> Floats:
    """Return the area under the ROC curve, one value per row of `weights` (one value without weights).

    `outcome` (N,) is 0 or 1, `score` (N,), `weights` (R, N). Tied scores count one half, as in the Mann-Whitney
    statistic. NaN where a row holds only one outcome.
    """
    positive, negative = _by_score(outcome, score, weights, descending=False)
    below = np.cumsum(negative, axis=1) - negative
    wins = (positive * (below + 0.5 * negative)).sum(axis=1)
    return ratio(wins, positive.sum(axis=1) * negative.sum(axis=1))


def average_precision(outcome: ArrayLike, score: ArrayLike, weights: NDArray | None = None) -> Floats:
    """Return the area under the precision-recall curve as a step function, one value per row of `weights`.

    Shapes as in `auroc`; examples of one score enter together. NaN where a row holds only one outcome.
    """
    positive, negative = _by_score(outcome, score, weights, descending=True)
    hits, drawn = np.cumsum(positive, axis=1), np.cumsum(positive + negative, axis=1)
    precision = np.divide(hits, drawn, out=np.zeros_like(hits), where=drawn > 0)
    area = ratio((positive * precision).sum(axis=1), positive.sum(axis=1))
    return np.where(negative.sum(axis=1) > 0, area, np.nan)


def f1_score(outcome: NDArray, score: NDArray, threshold: ArrayLike = ABOVE_HALF) -> Floats:
    """Return F1 (C,) of predicting each class where its score (N, C) is at least its threshold, a number or (C,).

    Unknown outcomes (NaN) take no part; NaN where a class has one outcome or no threshold.
    """
    limits = np.broadcast_to(np.asarray(threshold, dtype=np.float64), outcome.shape[1:])
    known, present = ~np.isnan(outcome), outcome > 0
    predicted = known & (score >= limits.astype(score.dtype))
    positives = present.sum(axis=0)
    values = ratio(2.0 * (predicted & present).sum(axis=0), (predicted.sum(axis=0) + positives).astype(np.float64))
    return np.where((positives > 0) & (positives < known.sum(axis=0)) & ~np.isnan(limits), values, np.nan)


def resampled_f1(predicted: NDArray[np.bool_], outcome: NDArray, weights: NDArray | None = None) -> Floats:
    """Return F1 of predictions (N,) of outcomes (N,) of 0 or 1, one per row of `weights` (R, N).

    NaN where a row holds one outcome.
    """
    rows = np.ones((1, len(outcome))) if weights is None else np.asarray(weights, dtype=np.float64)
    present = outcome > 0
    hits, found, positives = (rows @ which.astype(np.float64) for which in (predicted & present, predicted, present))
    both = (positives > 0) & (positives < rows.sum(axis=1))
    return ratio(2 * hits, np.where(both, found + positives, 0.0))


def class_metrics(
    outcome: NDArray,
    score: NDArray,
    threshold: ArrayLike = ABOVE_HALF,
    rankings: Sequence[Ranking] | None = None,
) -> dict[str, Floats]:
    """Return auroc, auprc and f1, (C,) each, of all classes at once; shapes and NaN as in `f1_score`.

    `rankings` (C,) are those of the columns where they are known already.
    """
    if rankings is None:
        rankings = [Ranking.of(*columns) for columns in zip(outcome.T, score.T, strict=True)]
    return {
        "auroc": np.array([ranking.auroc() for ranking in rankings]),
        "auprc": np.array([ranking.average_precision() for ranking in rankings]),
        "f1": f1_score(outcome, score, threshold),
    }


def weighted_mean(values: ArrayLike, weights: NDArray | None = None) -> Floats:
    """Return the mean of `values` (N,) for each row of `weights` (R, N); NaN values take no part."""
    numbers = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(numbers)
    rows = np.ones((1, len(numbers))) if weights is None else np.asarray(weights, dtype=np.float64)
    return ratio(rows[:, known] @ numbers[known], rows[:, known].sum(axis=1))


def weighted_median(values: ArrayLike, weights: NDArray | None = None) -> Floats:
    """Return the lower median of `values` (N,) for each row of `weights` (R, N); NaN values take no part."""
    numbers = np.asarray(values, dtype=np.float64)
    rows = np.ones((1, len(numbers))) if weights is None else np.asarray(weights, dtype=np.float64)
    order = np.argsort(numbers)[: np.count_nonzero(~np.isnan(numbers))]
    if not len(order):
        return np.full(len(rows), np.nan)
    sums = np.cumsum(rows[:, order], axis=1)
    middle = (sums >= sums[:, -1:] / 2).argmax(axis=1)
    return np.where(sums[:, -1] > 0, numbers[order][middle], np.nan)


def resample_weights(patients: ArrayLike, resamples: int, seed: int) -> NDArray[np.uint16]:
    """Return (resamples, N): how often each example is drawn when patients are drawn with replacement.

    A function of the patients as a set and of the seed: the order of the rows changes nothing for a patient.
    """
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    count = int(patient.max()) + 1
    times = _times_drawn(np.random.default_rng([seed, count]), resamples, count)
    return times.astype(np.uint16)[:, patient]


def patient_draws(patients: ArrayLike, resamples: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the number of each example's patient (N,), and how often each is in each resample, (patients, R).

    The resamples are those of `resample_weights`: its rows are `drawn[patient].T`.
    """
    unique, patient = np.unique(np.asarray(patients), return_inverse=True)
    drawn = resample_weights(unique, resamples, seed)
    return patient, np.ascontiguousarray(drawn.T, dtype=np.float32)


def resampled_sums(values: NDArray, patients: ArrayLike, resamples: int, seed: int) -> Floats:
    """Return (resamples, ...): `values` (N, ...) summed over the examples of each resample.

    The resamples are those of `resample_weights`, drawn a block at a time, so that memory does not grow with their
    number. Sums of whole numbers are exact.
    """
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    shape = np.shape(values)[1:]
    flat = np.asarray(values, dtype=np.float64).reshape(len(patient), math.prod(shape))
    count = int(patient.max(initial=-1)) + 1
    totals = np.stack([np.bincount(patient, column, minlength=count) for column in flat.T], axis=1)
    generator = np.random.default_rng([seed, count])
    drawn = np.zeros((resamples, flat.shape[1]))
    rows = max(1, _CELLS // (4 * max(1, count)))
    for start in range(0, resamples if count else 0, rows):
        block = drawn[start : start + rows]
        block += _times_drawn(generator, len(block), count) @ totals
    return drawn.reshape(resamples, *shape)


def over_resamples(metric: Metric, outcome: NDArray, score: NDArray, weights: NDArray) -> Floats:
    """Return `metric` for each row of `weights`, a block of rows at a time."""
    rows = max(1, _CELLS // max(1, weights.shape[1]))
    blocks = [metric(outcome, score, weights[start : start + rows]) for start in range(0, len(weights), rows)]
    return np.concatenate(blocks)


def interval(value: float, resampled: Floats) -> Estimate:
    """Return a value with the 2.5th and 97.5th percentile of its resamples.

    Resamples without a value (one outcome only) are left out; when they are the majority there is no interval.
    """
    known = resampled[~np.isnan(resampled)]
    if np.isnan(value) or 2 * len(known) <= len(resampled):
        return Estimate(float(value), np.nan, np.nan)
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))


def estimate(metric: Metric, outcome: NDArray, score: NDArray, weights: NDArray) -> Estimate:
    """Return a metric with its interval over the resamples of `weights`."""
    return interval(float(metric(outcome, score, None)[0]), over_resamples(metric, outcome, score, weights))


def mean_estimate(metric: Metric, outcome: NDArray, scores: Sequence[NDArray], weights: NDArray) -> Estimate:
    """Return the mean of a metric over several models (seeds), with the interval of that mean over patients."""
    value = float(np.mean([metric(outcome, score, None)[0] for score in scores]))
    return interval(value, np.mean([over_resamples(metric, outcome, score, weights) for score in scores], axis=0))


def paired_difference(metric: Metric, outcome: NDArray, first: NDArray, second: NDArray, weights: NDArray) -> Estimate:
    """Return metric(first) - metric(second) on the same patients, with its interval."""
    value = float(metric(outcome, first, None)[0] - metric(outcome, second, None)[0])
    change = over_resamples(metric, outcome, first, weights) - over_resamples(metric, outcome, second, weights)
    return interval(value, change)


def two_sided_p(resampled: Floats) -> float:
    """Return the bootstrap p-value of "no difference": twice the share of resamples on the rarer side of zero.

    The value itself counts as one more resample on either side (Davison and Hinkley), so that p is never 0 but at
    least 2 / (resamples + 1). NaN where most resamples have no value, as in `interval`.
    """
    known = resampled[~np.isnan(resampled)]
    if 2 * len(known) <= len(resampled):
        return np.nan
    rarer = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return min(1.0, 2 * (rarer + 1) / (len(known) + 1))


def holm(p_values: ArrayLike) -> Floats:
    """Return p-values adjusted for their number (Holm's step-down); NaN stays NaN and does not count."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def _times_drawn(generator: np.random.Generator, resamples: int, count: int) -> NDArray[np.int64]:
    """Return (resamples, count): how often each of `count` patients is among as many draws with replacement."""
    draws = generator.integers(count, size=(resamples, count))
    draws += np.arange(resamples)[:, None] * count
    return np.bincount(draws.ravel(), minlength=resamples * count).reshape(resamples, count)


def _by_score(outcome: ArrayLike, score: ArrayLike, weights: NDArray | None, descending: bool) -> tuple[Floats, Floats]:
    """Return the weight of positives and of negatives for each distinct score, (R, distinct scores) both, in order."""
    truth, values = np.asarray(outcome, dtype=np.float64), np.asarray(score, dtype=np.float64)
    if truth.size == 0:
        nothing = np.zeros((1 if weights is None else len(weights), 0))
        return nothing, nothing
    if np.isnan(values).any():
        raise ValueError("scores contain NaN")
    order = np.argsort(-values if descending else values, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(values[order]) != 0])
    drawn = np.ones((1, len(truth))) if weights is None else np.asarray(weights)[:, order].astype(np.float64)
    positive = np.add.reduceat(drawn * truth[order], starts, axis=1)
    return positive, np.add.reduceat(drawn, starts, axis=1) - positive
