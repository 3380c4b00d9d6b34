"""Are rare classes forgotten first? (PruneCXR, figure 3): forgetting against frequency and against co-occurrence."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxrflow.forgetting.correlation import line, pearson, permutation_p, permutations, spearman
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.metrics import interval

Floats = NDArray[np.float64]
COEFFICIENTS = {"pearson": pearson, "spearman": spearman}


class Correlation(NamedTuple):
    """A coefficient over classes with 95 % intervals; NaN where it is not defined."""

    metric: str
    value: float
    low: float
    """Over resamples of seeds and patients: the same classes, measured again. A resample adds noise of its own to the
    curves, so that with few positives the interval lies nearer to 0 than the value."""
    high: float
    class_low: float
    """Over resamples of the classes: other diseases of the same kind."""
    class_high: float
    p: float
    """Of no relation, by permutation of the classes."""
    n_classes: int
    n_left_out: int
    """Classes without a value; for Pearson's of first drops also those that never drop (censored)."""
    slope: float
    intercept: float
    """The least-squares line of the figure, with Pearson's: of a property of the classes on the quantity (log frequency
    on first drop), and of FCD on a relation of pairs."""


def cooccurrence_matrix(labels: NDArray) -> Floats:
    """Return (C, C): in how many images both classes are present (the diagonal: either); labels (N, C)."""
    present = (np.asarray(labels) > 0).astype(np.float64)
    return present.T @ present


def log_counts(counts: Floats) -> Floats:
    """Return the natural logarithm of each count; NaN where it is 0."""
    return np.log(counts, out=np.full(np.shape(counts), np.nan), where=np.asarray(counts) > 0)


def mean_others(cooccurrence: Floats) -> Floats:
    """Return how many other classes an image of each class has on average (C,); NaN for a class without images."""
    counts = np.diagonal(cooccurrence)
    others = cooccurrence.sum(axis=1) - counts
    return np.divide(others, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def correlations(
    quantity: Floats, against: Floats, resampled: Floats, settings: ForgettingSettings
) -> list[Correlation]:
    """Correlate a quantity (C,), with its resamples (R, C), with a property of the classes (C,), both ways."""
    return [_correlation(name, quantity, against, resampled, settings) for name in COEFFICIENTS]


def _correlation(
    name: str, quantity: Floats, against: Floats, resampled: Floats, settings: ForgettingSettings
) -> Correlation:
    coefficient, count = COEFFICIENTS[name], len(quantity)
    value = float(coefficient(quantity, against))
    estimate = interval(value, coefficient(resampled, against))
    drawn = np.random.default_rng([settings.seed, count, 1]).integers(count, size=(settings.resamples, count))
    classes = interval(value, coefficient(quantity[drawn], against[drawn]))
    valid = ~np.isnan(quantity) & ~np.isnan(against)
    order = permutations(int(valid.sum()), settings.permutations, settings.seed)
    p = permutation_p(value, coefficient(quantity[valid], against[valid][order]))
    used = int((valid & (np.isfinite(quantity) | (name == "spearman"))).sum())
    slope, intercept = line(quantity, against) if name == "pearson" else (np.nan, np.nan)
    return Correlation(name, *estimate, classes.low, classes.high, p, used, count - used, slope, intercept)
