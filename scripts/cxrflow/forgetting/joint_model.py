"""Does the distance of two curves follow from frequencies and overlap together? A linear model over pairs of classes.

FCD ~ difference of frequencies + IoU^(1/4) + their product, by least squares.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxrflow.forgetting.correlation import permutation_p
from cxrflow.forgetting.dissimilarity import ClassPairs, Relations, permuted_distances
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.metrics import interval

Floats = NDArray[np.float64]
TERMS = ("intercept", "frequency_difference", "iou_root", "interaction")
R_SQUARED = "r_squared"


class Coefficient(NamedTuple):
    """A coefficient in units of FCD, or the share of its variance that the model explains."""

    term: str
    value: float
    low: float
    """Over resamples of seeds and patients."""
    high: float
    p: float
    """Two-sided, of no effect; none for r_squared."""


def joint_model(pairs: ClassPairs, settings: ForgettingSettings) -> list[Coefficient]:
    """Return the coefficients and r_squared; NaN where there are too few pairs, or these don't vary.

    p comes from permutations of the classes of FCD, of the t statistic (Legendre, Lapointe and Casgrain 1994), since
    pairs that share a class are not independent.
    """
    names = [*TERMS, R_SQUARED]
    fitted = fit(design(pairs.related), pairs.distance)
    if np.isnan(fitted).any():
        return [Coefficient(name, *[np.nan] * 4) for name in names]
    resampled = np.stack(list(_resampled(pairs)))
    statistics = t_statistics(design(pairs.related), pairs.distance[None])[0]
    permuted = t_statistics(design(pairs.related), permuted_distances(pairs, settings))
    p = [permutation_p(own, column) for own, column in zip(statistics, permuted.T, strict=True)]
    estimates = [interval(float(value), column) for value, column in zip(fitted, resampled.T, strict=True)]
    return [Coefficient(name, *found, p) for name, found, p in zip(names, estimates, [*p, np.nan], strict=True)]


def design(related: Relations) -> Floats:
    """Return the predictors (pairs, terms)."""
    difference, overlap = related.frequency_difference, related.iou_root
    return np.stack([np.ones_like(difference), difference, overlap, difference * overlap], axis=-1)


def fit(predictors: Floats, distance: Floats) -> Floats:
    """Return the coefficients and r_squared (terms + 1,); NaN where the pairs don't determine them."""
    terms = predictors.shape[1]
    variation = ((distance - distance.mean()) ** 2).sum() if len(distance) else 0.0
    if len(distance) <= terms + 1 or np.linalg.matrix_rank(predictors) < terms or variation <= 1e-14:
        return np.full(terms + 1, np.nan)
    coefficients = np.linalg.lstsq(predictors, distance, rcond=None)[0]
    rest = ((distance - predictors @ coefficients) ** 2).sum()
    return np.r_[coefficients, 1 - rest / variation]


def t_statistics(predictors: Floats, distances: Floats) -> Floats:
    """Return the coefficients (n, terms) of distances (n, pairs) over their standard errors."""
    inverse = np.linalg.pinv(predictors)
    coefficients = distances @ inverse.T
    rest = ((distances - coefficients @ predictors.T) ** 2).sum(axis=1) / (len(predictors) - predictors.shape[1])
    return coefficients / np.sqrt(np.maximum(rest, 1e-30)[:, None] * (inverse**2).sum(axis=1))


def _resampled(pairs: ClassPairs) -> Iterator[Floats]:
    """Yield the fit of every resample, of the pairs that it has."""
    related = design(pairs.resampled_related)
    for predictors, distance in zip(related, pairs.resampled_distance, strict=True):
        known = ~np.isnan(distance) & ~np.isnan(predictors).any(axis=-1)
        yield fit(predictors[known], distance[known])
