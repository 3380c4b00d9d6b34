"""Forgettability curves (PruneCXR, figure 2): how much of its average precision a class loses along the compression.

A seed's relative change at level k is (AP_k - AP_0) / AP_0; a class's curve is the median over seeds; its first drop is
the smallest level at which the curve lies below -20 %.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxrflow.forgetting.measures import WayMeasures
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.metrics import Estimate, interval

Floats = NDArray[np.float64]
_TINY = 1e-12  # the paper's guard against an average precision of 0


class Censored(NamedTuple):
    """A level with the ends of its 95 % interval; NaN also where it lies beyond the last level."""

    value: float
    low: float
    high: float
    censored: float
    """Share of the resamples in which the class never drops."""


@dataclass(frozen=True)
class Curves:
    """The curves of one way to compress, and of its resamples of seeds and patients."""

    levels: Floats
    """(K,) from 0."""
    values: Floats
    """(K, C) medians over seeds; 0 at level 0."""
    resampled: Floats
    """(R, K, C)"""
    drops: Floats
    """(C,) first drop: infinite where there is none (censored), NaN where the class has no curve."""
    resampled_drops: Floats
    """(R, C)"""

    @property
    def final(self) -> Floats:
        """Relative change (C,) at the last level."""
        return self.values[-1]

    @property
    def resampled_final(self) -> Floats:
        """The same (R, C) of every resample."""
        return self.resampled[:, -1]


def forgettability_curves(measured: WayMeasures, settings: ForgettingSettings, metric: str = "auprc") -> Curves:
    """Return the curves of all classes; `metric` is auprc (the paper's) or auroc."""
    values = np.median(relative_change(measured.values[metric]), axis=0)
    draws = seed_draws(len(measured.seeds), measured.resampled[metric].shape[1], settings.seed)
    resampled = median_over(relative_change(measured.resampled[metric].astype(np.float64)), draws)
    drops = [first_drop(measured.levels, curves, settings.drop) for curves in (values, resampled)]
    return Curves(measured.levels, values, resampled, *drops)


def relative_change(values: Floats) -> Floats:
    """Return the change (..., K, C) from level 0, as a share of the value there."""
    start = values[..., :1, :]
    return (values - start) / (start + _TINY)


def seed_draws(seeds: int, resamples: int, seed: int) -> NDArray[np.intp]:
    """Return (resamples, seeds): which seeds each resample draws, with replacement."""
    return np.random.default_rng([seed, seeds, resamples]).integers(seeds, size=(resamples, seeds))


def median_over(resampled: NDArray, draws: NDArray[np.intp]) -> Floats:
    """Return (R, ...): in each resample the median of the seeds that it draws, `resampled` (S, R, ...).

    Each resample has its own patients and its own seeds, so that its values vary with both.
    """
    return np.stack([np.median(resampled[drawn, place], axis=0) for place, drawn in enumerate(draws)])


def first_drop(levels: Floats, curves: Floats, drop: float) -> Floats:
    """Return the smallest level (..., C) at which curves (..., K, C) lie below -drop; infinite where none does."""
    below = curves < -drop
    found = np.where(below.any(axis=-2), levels[below.argmax(axis=-2)], np.inf)
    return np.where(np.isnan(curves).any(axis=-2), np.nan, found)


def drop_estimate(value: float, resampled: Floats) -> Censored:
    """Return a first drop (infinite: none) with its interval; its ends are levels, those beyond the last one NaN.

    Resamples without a value are left out; when they are the majority there is no interval.
    """
    known = np.sort(resampled[~np.isnan(resampled)])
    if np.isnan(value) or 2 * len(known) <= len(resampled):
        return Censored(_finite(value), np.nan, np.nan, np.nan)
    last = len(known) - 1
    low, high = known[int(np.floor(0.025 * last))], known[int(np.ceil(0.975 * last))]
    return Censored(_finite(value), _finite(low), _finite(high), float(np.isinf(known).mean()))


def change_estimates(curves: Curves) -> list[list[Estimate]]:
    """Return the relative change with its interval: a list over levels of lists over classes."""
    return [
        [interval(float(value), column) for value, column in zip(values, resampled.T, strict=True)]
        for values, resampled in zip(curves.values, curves.resampled.swapaxes(0, 1), strict=True)
    ]


def _finite(level: float) -> float:
    return float(level) if np.isfinite(level) else np.nan
