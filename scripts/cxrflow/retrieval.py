"""Retrieval between two kinds of embeddings: the rank of the best match that belongs to a query.

Ties are shared: other candidates with the same similarity as the best match count one half each, so that no order of
rows is favoured. Similarities closer than 1e-6 are equal: the same text embedded twice may differ in the last bits.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
AT = (1, 5, 10)
_TIE = np.float32(1e-6)
_CELLS = 10_000_000  # similarities held at once


def ranks(queries: Floats, gallery: Floats, query_group: NDArray, gallery_group: NDArray) -> NDArray[np.float64]:
    """Return (N,) the rank, from 1, of the best candidate of its own group for each query.

    Queries (N, D) and gallery (M, D) are unit vectors; groups are numbers or names. NaN where the gallery has none of
    the group. Memory is bounded: some queries meet the whole gallery at a time.
    """
    members, first, count = _members(query_group, gallery_group)
    result = np.full(len(queries), np.nan)
    answered = np.flatnonzero(count)
    rows = max(1, _CELLS // max(1, len(gallery)))
    for start in range(0, len(answered), rows):
        chosen = answered[start : start + rows]
        similarity = queries[chosen] @ gallery.T
        own_row = np.repeat(np.arange(len(chosen)), count[chosen])
        starts = np.cumsum(count[chosen]) - count[chosen]
        own_column = members[np.arange(len(own_row)) - np.repeat(starts - first[chosen], count[chosen])]
        own = similarity[own_row, own_column]
        best = np.maximum.reduceat(own, starts)
        above = (similarity > (best + _TIE)[:, None]).sum(axis=1)
        near = (similarity >= (best - _TIE)[:, None]).sum(axis=1)
        near_own = np.add.reduceat(own >= (best - _TIE)[own_row], starts)
        result[chosen] = 1 + above + 0.5 * (near - above - near_own)
    return result


def _members(query_group: NDArray, gallery_group: NDArray) -> tuple[NDArray[np.intp], NDArray, NDArray]:
    """Return the gallery's places sorted by group, and where each query's group begins there and how many it has."""
    order = np.argsort(gallery_group, kind="stable")
    ordered = gallery_group[order]
    first = np.searchsorted(ordered, query_group, side="left")
    return order, first, np.searchsorted(ordered, query_group, side="right") - first


def diagonal_ranks(queries: Floats, gallery: Floats) -> NDArray[np.float64]:
    """Return (N,) ranks where row i of the gallery alone belongs to query i and only larger similarities rank before.

    As released codes count: several images of one study compete for one text, and ties are won.
    """
    result = np.empty(len(queries))
    rows = max(1, _CELLS // max(1, len(gallery)))
    for start in range(0, len(queries), rows):
        part = slice(start, min(start + rows, len(queries)))
        similarity = queries[part] @ gallery.T
        own = similarity[np.arange(len(similarity)), np.arange(part.start, part.stop)]
        result[part] = 1 + (similarity > own[:, None]).sum(axis=1)
    return result


def chance_of_rank(query_group: NDArray, gallery_group: NDArray, at: int) -> NDArray[np.float64]:
    """Return (N,) the probability that a random order of the gallery has one of the query's group among the first.

    With m of n candidates in the group: 1 - C(n - m, at) / C(n, at).
    """
    names, counts = np.unique(gallery_group, return_counts=True)
    own = dict(zip(names.tolist(), counts.tolist(), strict=True))
    n = len(gallery_group)
    missed = {m: _none_drawn(n, m, min(at, n)) for m in set(own.values()) | {0}}
    return np.array([1 - missed[own.get(group, 0)] for group in query_group.tolist()])


def _none_drawn(n: int, own: int, draws: int) -> float:
    steps = np.arange(draws)
    return float(np.prod(np.clip((n - own - steps) / (n - steps), 0, 1)))


def mean_recall(one: Floats, other: Floats, groups: NDArray) -> float:
    """Return the mean of R@1, 5 and 10 in both directions, from 0 to 1: what an epoch is chosen by.

    Row i of one, such as a radiograph, belongs to row i of the other, such as its report; rows of the other that share
    a group are the same thing and count once.
    """
    unique, first = np.unique(groups, return_index=True)
    directions = (ranks(one, other[first], groups, unique), ranks(other[first], one, unique, groups))
    return float(np.mean([(rank <= k).mean() for rank in directions for k in AT]))


def recalls(rank: NDArray[np.float64], at: Sequence[int] = AT) -> dict[str, NDArray[np.float64]]:
    """Return for each query whether its rank is among the first 1, 5, 10, by the name of the metric (0 or 1)."""
    return {f"recall@{k}": (rank <= k).astype(np.float64) for k in at}
