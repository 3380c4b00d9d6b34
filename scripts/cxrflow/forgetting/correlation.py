"""Pearson and Spearman correlation along the last axis, of many resamples or permutations at once.

NaN on either side leaves a pair out. An infinite value is a censored one: it has a rank (tied behind all others) but
no size, so that it takes part in Spearman's and not in Pearson's coefficient.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FEWEST = 3
"""Pairs that a coefficient needs; two are always on a line."""


def pearson(x: Floats, y: Floats) -> Floats:
    """Return the coefficient (...,) of x and y (..., n); NaN where one does not vary or under three pairs are left."""
    x, y, known = _paired(np.where(np.isinf(x), np.nan, x), np.where(np.isinf(y), np.nan, y))
    product = (x * y).sum(axis=-1)
    spread = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    defined = (known.sum(axis=-1) >= FEWEST) & (spread > 1e-14)
    return np.clip(np.divide(product, spread, out=np.full(spread.shape, np.nan), where=defined), -1, 1)


def spearman(x: Floats, y: Floats) -> Floats:
    """Return Pearson's coefficient of average ranks (...,) of x and y (..., n)."""
    x, y = np.broadcast_arrays(x, y)
    unknown = np.isnan(x) | np.isnan(y)
    return pearson(*(ranks(np.where(unknown, np.nan, side)) for side in (x, y)))


def ranks(values: Floats) -> Floats:
    """Return average ranks along the last axis, from 1; NaN has none."""
    from scipy.stats import rankdata

    unknown = np.isnan(values)
    sizes = np.clip(values, -np.finfo(float).max, np.finfo(float).max)  # infinite ones go before those unknown
    return np.where(unknown, np.nan, rankdata(np.where(unknown, np.inf, sizes), axis=-1))


def line(x: Floats, y: Floats) -> tuple[float, float]:
    """Return slope and intercept of the least-squares line of y (n,) on x (n,); NaN as in `pearson`."""
    finite = np.isfinite(x) & np.isfinite(y)
    if np.isnan(pearson(x, y)):
        return np.nan, np.nan
    slope = float(np.cov(x[finite], y[finite])[0, 1] / np.var(x[finite], ddof=1))
    return slope, float(y[finite].mean() - slope * x[finite].mean())


def permutation_p(value: float, permuted: Floats) -> float:
    """Return the two-sided p of a coefficient: how often a permutation, the value itself among them, is as large."""
    if np.isnan(value):
        return np.nan
    known = permuted[~np.isnan(permuted)]
    return float((1 + np.count_nonzero(np.abs(known) >= abs(value) - 1e-12)) / (1 + len(known)))


def permutations(count: int, number: int, seed: int) -> NDArray[np.intp]:
    """Return (number, count) permutations of `count` classes."""
    generator = np.random.default_rng([seed, count, number])
    return generator.permuted(np.tile(np.arange(count), (number, 1)), axis=1)


def _paired(x: Floats, y: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return both centred, with 0 where one of them is unknown, and where both are known."""
    x, y = np.broadcast_arrays(x, y)
    known = ~np.isnan(x) & ~np.isnan(y)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    sides = []
    for side in (x, y):
        filled = np.where(known, side, 0.0)
        sides.append(np.where(known, filled - filled.sum(axis=-1, keepdims=True) / count, 0.0))
    return sides[0], sides[1], known
