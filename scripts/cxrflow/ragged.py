"""Lists of unequal lengths in one flat array: where each begins, and the places of many of them at once."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

POOL = 8


def offsets(sizes: Iterable[int] | NDArray) -> NDArray[np.int64]:
    """Return (n + 1,): where each of n lists begins, and the end of the last."""
    counts = sizes if isinstance(sizes, np.ndarray) else np.fromiter(sizes, dtype=np.int64)
    found = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=found[1:])
    return found


def ranges(starts: NDArray, counts: NDArray) -> NDArray[np.int64]:
    """Return starts[0], ..., starts[0] + counts[0] - 1, starts[1], ... as one array."""
    ends = np.cumsum(counts, dtype=np.int64)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)


def alike_together(order: NDArray[np.int64], sizes: NDArray[np.int64], batch: int) -> NDArray[np.int64]:
    """Return an order of lists in which, among those of POOL batches, lists of like size share one: less padding.

    `sizes` (n,) are those of all lists, `order` holds places in it.
    """
    pool = np.arange(len(order)) // (POOL * batch)
    return order[np.lexsort((sizes[order], pool))]


def owners(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the list to which each element belongs, from the (n + 1,) places where lists begin."""
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))
