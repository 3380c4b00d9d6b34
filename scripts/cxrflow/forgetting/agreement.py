"""How far two sets of class probabilities order the classes of an image alike: Spearman's correlation of each row.

Exact with ties (average ranks), without a loop over rows.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
_PAIRWISE = 64  # classes up to which comparing all pairs is faster than sorting
_CELLS = 160_000  # values ranked at once: they stay in the processor's cache


class RowAgreement(NamedTuple):
    """Agreement of each row of two arrays."""

    correlation: Floats
    """(N,) Spearman's correlation, NaN where a row of either array is constant or holds NaN."""
    constant: NDArray[np.bool_]
    """(N,) whether a row of either array is constant: it orders nothing."""


def row_agreement(first: ArrayLike, second: ArrayLike) -> RowAgreement:
    """Return Spearman's rank correlation of each row of two arrays (N, C), as `scipy.stats.spearmanr` of the row.

    Memory beside the result is bounded, whatever N is. Raises ValueError where the shapes differ.
    """
    one, two = np.asarray(first), np.asarray(second)
    if one.ndim != 2 or one.shape != two.shape:
        raise ValueError(f"expected two arrays (N, C) of one shape, found {one.shape} and {two.shape}")
    correlation, constant = np.empty(len(one)), np.empty(len(one), dtype=bool)
    rows = max(1, _CELLS // max(1, one.shape[1]))
    for start in range(0, len(one), rows):
        block = slice(start, start + rows)
        correlation[block], constant[block] = _correlate(one[block], two[block])
    return RowAgreement(correlation, constant)


def centred_ranks(values: NDArray) -> NDArray:
    """Return twice the average rank of each value in its row (N, C), centred: 2 rank - C - 1, as (C, N).

    Whole numbers. Each is also the number of values in the row that are smaller minus that of those that are larger,
    which is how few classes are ranked: no sorting, and ties come out right by themselves.
    """
    count = values.shape[1]
    if count > _PAIRWISE:
        return (2 * rankdata(values, axis=1) - count - 1).T
    columns = np.ascontiguousarray(values.T)
    ranks = np.zeros(columns.shape, dtype=np.int8)
    for place in range(count - 1):
        this, rest = columns[place], columns[place + 1 :]
        above = (this > rest).view(np.int8) - (this < rest).view(np.int8)
        ranks[place] += above.sum(axis=0, dtype=np.int8)
        ranks[place + 1 :] -= above
    return ranks


def _correlate(one: NDArray, two: NDArray) -> tuple[Floats, NDArray[np.bool_]]:
    ranks = [centred_ranks(values).astype(np.float64) for values in (one, two)]
    products, first, second = (np.einsum("cn,cn->n", a, b) for a, b in (ranks, ranks[:1] * 2, ranks[1:] * 2))
    unknown = np.isnan(one).any(axis=1) | np.isnan(two).any(axis=1)
    constant = ((first == 0) | (second == 0)) & ~unknown
    known = ~(constant | unknown)
    # Sums of whole numbers are exact, so identical orders give exactly 1.
    correlation = np.divide(products, np.sqrt(first * second), out=np.full(len(one), np.nan), where=known)
    return np.clip(correlation, -1, 1), constant
