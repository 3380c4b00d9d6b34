"""AUROC and average precision of one class over all resamples of patients at once.

What `metrics` computes for any weights is computed here for long-tailed classes, as sums over the few positives.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from cxrflow.ranking import Floats, Ranking, ratio

_CACHED = 200_000  # resamples x steps of a ranking held at once: what a processor keeps near
_NOTHING = 1e-30  # is lost in any count, and keeps the precision of nothing drawn at 0
_STRIDE = 32  # steps that are summed one after the other, many such runs beside each other


def resampled_areas(ranking: Ranking, patient: NDArray[np.intp], weights: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Return AUROC and average precision, (R,) each, of every resample of patients.

    `patient` (N,) is the row of each example in `weights` (patients, R), which says how often a patient was drawn
    (float32, contiguous: whole numbers up to 2^24 are exact). The weight that falls between two steps of the ranking
    is a sparse matrix, one entry per example, times the weights: all resamples share one sort. NaN where a resample
    holds one outcome only.
    """
    resamples = weights.shape[1]
    whose = patient[ranking.order]
    total = np.bincount(whose, minlength=len(weights)).astype(np.float32) @ weights
    starts, firsts = np.r_[0, ranking.ends], np.r_[0, ranking.hits]
    positive = whose[ranking.truth]
    lost, area = np.zeros((2, resamples))
    drawn, found = np.full(resamples, _NOTHING, np.float32), np.zeros(resamples, np.float32)
    size = max(_STRIDE, _CACHED // max(1, resamples) // _STRIDE * _STRIDE)
    for start in range(0, len(ranking.ends), size):
        steps = slice(start, start + size + 1)
        own = _grouped(positive, firsts[steps], weights)
        every, hits = _running(_grouped(whose, starts[steps], weights), drawn), _running(own.copy(), found)
        drawn, found = every[-1].copy(), hits[-1].copy()
        precision = hits / every
        lost += np.einsum("jr,jr->r", own, np.subtract(every, hits, out=every))
        area += np.einsum("jr,jr->r", own, precision)
    if ranking.tied.any():
        lost -= 0.5 * _tied_pairs(ranking, whose, weights)
    negative = total - found
    possible = found * negative.astype(np.float64)
    return ratio(possible - lost, possible), np.where(negative > 0, ratio(area, found.astype(np.float64)), np.nan)


def _grouped(members: NDArray[np.intp], bounds: NDArray[np.intp], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (groups, R): the weights (patients, R) summed over the members between each two of the bounds.

    Empty groups are added until their number is a multiple of the stride.
    """
    padding = -(len(bounds) - 1) % _STRIDE
    ends = np.r_[bounds, np.full(padding, bounds[-1])] - bounds[0]
    inside = members[bounds[0] : bounds[-1]]
    once = np.ones(len(inside), np.float32)
    return csr_array((once, inside, ends), shape=(len(ends) - 1, len(weights))) @ weights


def _running(values: NDArray[np.float32], before: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the running sums of `values` (n, R) over n, a multiple of the stride, in place, on top of `before` (R,).

    Every `_STRIDE` rows are a run, and all runs advance together: several times as fast as numpy's sum along rows.
    """
    values[0] += before
    runs = values.reshape(-1, _STRIDE, values.shape[1])
    for row in range(1, _STRIDE):
        runs[:, row] += runs[:, row - 1]
    for last, run in pairwise(runs):
        run += last[-1]
    return values


def _tied_pairs(ranking: Ranking, whose: NDArray[np.intp], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (R,): the pairs of a positive and a negative with the same score."""
    own = np.diff(ranking.hits, prepend=0)
    shared = ranking.tied > 0
    ends, sizes = ranking.ends[shared], own[shared] + ranking.tied[shared]
    length = len(whose) + 1
    inside = np.cumsum(np.bincount(ends - sizes, minlength=length) - np.bincount(ends, minlength=length))[:-1] > 0
    sides = (ranking.truth, own), (~ranking.truth, ranking.tied)
    grouped = [_grouped(whose[inside & side], np.r_[0, np.cumsum(n[shared])], weights) for side, n in sides]
    return np.einsum("jr,jr->r", *grouped)
