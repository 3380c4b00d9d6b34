"""Matthews' correlation of predictions with outcomes, over resamples of patients; where the threshold comes from."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def matthews(predicted: NDArray[np.bool_], outcome: NDArray, weights: NDArray | None = None) -> Floats:
    """Return the correlation of predictions (N,) with outcomes (N,) of 0 or 1, one per row of `weights` (R, N).

    0 where only one class is predicted; NaN where a row holds one outcome.
    """
    rows = np.ones((1, len(outcome))) if weights is None else weights
    cells = np.stack([predicted & (outcome > 0), predicted, outcome > 0, np.ones(len(outcome), bool)], axis=1)
    return _correlation(*(rows @ cells.astype(rows.dtype)).T.astype(np.float64))


def matthews_as_released(outcome: NDArray, score: NDArray, weights: NDArray | None = None) -> Floats:
    """Return the correlation where as many of the highest scores are predicted as there are positives in the row.

    Ties with the last of them are predicted as well. The threshold is read from the outcomes that are tested.
    """
    rows = np.ones((1, len(outcome))) if weights is None else weights
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
    drawn, truth = rows[:, order].astype(np.float64), outcome[order] > 0
    counts = np.cumsum(drawn, axis=1)[:, ends]
    hits = np.cumsum(drawn * truth, axis=1)[:, ends]
    positives, total = hits[:, -1], counts[:, -1]
    last = (counts >= positives[:, None]).argmax(axis=1)
    chosen = np.arange(len(rows)), last
    return _correlation(hits[chosen], counts[chosen], positives, total)


def best_threshold(outcome: NDArray, score: NDArray) -> float:
    """Return the score from which on to predict so that the correlation is highest (the higher score of equals).

    NaN where there is one outcome.
    """
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
    hits, counts = np.cumsum(outcome[order] > 0)[ends].astype(np.float64), (ends + 1).astype(np.float64)
    every = np.full(len(ends), float(len(outcome)))
    values = _correlation(hits, counts, np.full(len(ends), hits[-1]), every)
    return float(score[order][ends[np.argmax(values)]]) if not np.isnan(values).all() else np.nan


def _correlation(hits: Floats, predicted: Floats, positives: Floats, total: Floats) -> Floats:
    """Return the correlation of counts: predicted positives, predicted, positives, all."""
    product = predicted * (total - predicted) * positives * (total - positives)
    value = (hits * total - predicted * positives) / np.sqrt(np.where(product > 0, product, 1.0))
    one_outcome = (positives == 0) | (positives == total)
    return np.where(one_outcome, np.nan, np.where(product > 0, value, 0.0))
