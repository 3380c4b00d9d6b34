"""The mean over classes against the compression (PruneCXR, figure 1), and the level from which on it differs.

The paper compares each level with no compression by Welch's t-test over seeds. The same seed is measured at every
level, so the paired t-test and Wilcoxon's signed ranks are given too, and all three also adjusted for the number of
levels (Holm).
"""

import warnings
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cxrflow.forgetting.curves import median_over, seed_draws
from cxrflow.forgetting.measures import WayMeasures

Floats = NDArray[np.float64]
Test = Literal["welch", "paired", "wilcoxon"]
TESTS: tuple[Test, ...] = get_args(Test)
ALPHA = 0.05


@dataclass(frozen=True)
class Overall:
    """The mean over classes of one metric."""

    by_seed: Floats
    """(S, K); classes without a value are left out."""
    values: Floats
    """(K,) medians over seeds."""
    resampled: Floats | None
    """(R, K) over seeds and patients, for metrics that are resampled."""
    change: Floats
    """(K,) median over seeds of the difference to level 0."""
    resampled_change: Floats | None
    """(R, K)"""
    classes: NDArray[np.intp]
    """(K,) how many classes have a value."""


def mean_over_classes(measured: WayMeasures, metric: str, seed: int) -> Overall:
    """Return the mean of a metric over classes; `seed` is that of the resamples.

    A resample without a positive patient of a rare class has the mean of the others.
    """
    values = measured.values[metric]
    by_seed = known_mean(values)
    classes = (~np.isnan(values)).any(axis=0).sum(axis=-1)
    change = np.median(by_seed - by_seed[:, :1], axis=0)
    if metric not in measured.resampled:
        return Overall(by_seed, np.median(by_seed, axis=0), None, change, None, classes)
    means = known_mean(measured.resampled[metric].astype(np.float64))
    draws = seed_draws(len(measured.seeds), means.shape[1], seed)
    changes = median_over(means - means[..., :1], draws)
    return Overall(by_seed, np.median(by_seed, axis=0), median_over(means, draws), change, changes, classes)


def known_mean(values: Floats) -> Floats:
    """Return the mean over the last axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def p_values(by_seed: Floats, test: Test) -> Floats:
    """Return p (K,) of each level of (S, K) against level 0, whose own is NaN; all NaN with fewer than two seeds.

    Where no seed differs from its uncompressed self p is 1.
    """
    found = np.full(by_seed.shape[1], np.nan)
    if len(by_seed) < 2 or np.isnan(by_seed).any():
        return found
    for level in range(1, by_seed.shape[1]):
        found[level] = _p(by_seed[:, level], by_seed[:, 0], test)
    return found


def first_significant(levels: Floats, p: Floats) -> float:
    """Return the smallest level with p < 0.05; NaN where there is none."""
    below = levels[p < ALPHA]
    return float(below.min()) if len(below) else np.nan


def _p(level: Floats, start: Floats, test: Test) -> float:
    from scipy.stats import ttest_ind, ttest_rel, wilcoxon

    if np.array_equal(level, start):
        return 1.0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # all seeds differ by the same: the answer (p = 0) stands
        if test == "welch":
            return float(ttest_ind(level, start, equal_var=False).pvalue)
        return float(ttest_rel(level, start).pvalue if test == "paired" else wilcoxon(level, start).pvalue)
