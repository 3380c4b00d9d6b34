"""Are classes that occur together forgotten alike? (PruneCXR, figure 4): pairs of forgettability curves.

The forgettability curve dissimilarity (FCD) of two classes is the Euclidean distance of their curves over all levels
above 0. It is compared with the difference of the classes' frequencies and with their overlap on the test split:
|ln f_a - ln f_b| and IoU^(1/4), where f_a = C_aa, IoU = C_ab / (C_aa + C_bb - C_ab), and C counts images with both.

The released analysis takes row sums of C for f_a. An image with several findings then counts once for each, and two
classes that always occur together seem to overlap in part; `legacy` computes that, for comparison.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrflow.forgetting.correlation import line, permutation_p, permutations
from cxrflow.forgetting.curves import Curves
from cxrflow.forgetting.frequency import COEFFICIENTS, Correlation, log_counts
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.metrics import interval, resampled_sums

Floats = NDArray[np.float64]
AGAINST = ("frequency_difference", "iou_root")


@dataclass(frozen=True)
class Relations:
    """What the classes of each pair have to do with each other, (..., pairs); NaN where one of them has no images."""

    frequency_difference: Floats
    iou_root: Floats


@dataclass(frozen=True)
class Overlaps:
    """In how many test images both classes are present: the test split, and its resamples of patients."""

    counts: Floats
    """(C, C)"""
    resampled: Floats
    """(R, C, C)"""


@dataclass(frozen=True)
class ClassPairs:
    """All unordered pairs of the n classes that have a curve."""

    classes: NDArray[np.intp]
    """(n,) their places among all classes."""
    left_out: int
    """Number of the others."""
    distance: Floats
    """(pairs,) FCD."""
    mean_square: Floats
    """(pairs,) mean squared difference of the curves, the other published definition of FCD."""
    related: Relations
    """(pairs,)"""
    resampled_distance: Floats
    """(R, pairs)"""
    resampled_related: Relations
    """(R, pairs)"""


def overlaps(labels: NDArray, patients: NDArray, settings: ForgettingSettings) -> Overlaps:
    """Count images of both classes, on the resamples that all else is measured on; labels (N, C), patients (N,)."""
    present = np.asarray(labels) > 0
    both = present[:, :, None] & present[:, None, :]
    return Overlaps(both.sum(axis=0) * 1.0, resampled_sums(both, patients, settings.resamples, settings.seed))


def class_pairs(curves: Curves, overlap: Overlaps, legacy: bool = False) -> ClassPairs:
    """Return the pairs of all classes that have a curve and are present."""
    valid = np.flatnonzero(~np.isnan(curves.values).any(axis=0) & (np.diagonal(overlap.counts) > 0))
    own, resampled = curves.values[:, valid], curves.resampled[..., valid]
    return ClassPairs(
        valid,
        curves.values.shape[1] - len(valid),
        np.sqrt(squares(own).sum(axis=-2)),
        squares(own).mean(axis=-2),
        relations(overlap.counts[np.ix_(valid, valid)], legacy),
        np.sqrt(squares(resampled).sum(axis=-2)),
        relations(overlap.resampled[:, valid[:, None], valid], legacy),
    )


def squares(curves: Floats) -> Floats:
    """Return the squared differences (..., K - 1, pairs) of curves (..., K, C), without level 0, where all are 0."""
    first, second = pair_places(curves.shape[-1])
    return np.square(curves[..., 1:, first] - curves[..., 1:, second])


def pair_places(classes: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and the second class of every unordered pair."""
    return np.triu_indices(classes, 1)


def relations(overlap: Floats, legacy: bool = False) -> Relations:
    """Return the relations of all pairs from counts of images with both (..., C, C)."""
    first, second = pair_places(overlap.shape[-1])
    counts = np.diagonal(overlap, axis1=-2, axis2=-1)
    frequency = overlap.sum(axis=-1) if legacy else counts
    present = (counts[..., first] > 0) & (counts[..., second] > 0)
    both = overlap[..., first, second]
    union = frequency[..., first] + frequency[..., second] - both
    iou = np.divide(both, union, out=np.full(both.shape, np.nan), where=present)
    logarithm = log_counts(frequency)
    difference = np.where(present, np.abs(logarithm[..., first] - logarithm[..., second]), np.nan)
    return Relations(difference, iou**0.25)


def pair_correlation(name: str, pairs: ClassPairs, against: str, settings: ForgettingSettings) -> Correlation:
    """Correlate FCD with a relation of the classes; `name` is pearson or spearman.

    Pairs that share a class are not independent, so p comes from permutations of the classes (Mantel's test).
    """
    coefficient, related = COEFFICIENTS[name], getattr(pairs.related, against)
    value = float(coefficient(pairs.distance, related))
    estimate = interval(value, coefficient(pairs.resampled_distance, getattr(pairs.resampled_related, against)))
    p = permutation_p(value, coefficient(permuted_distances(pairs, settings), related))
    slope, intercept = line(related, pairs.distance) if name == "pearson" else (np.nan, np.nan)
    return Correlation(name, *estimate, np.nan, np.nan, p, len(pairs.classes), pairs.left_out, slope, intercept)


def permuted_distances(pairs: ClassPairs, settings: ForgettingSettings) -> Floats:
    """Return FCD (permutations, pairs) as if the curves belonged to other classes."""
    count = len(pairs.classes)
    first, second = pair_places(count)
    square = np.zeros((count, count))
    square[first, second] = square[second, first] = pairs.distance
    order = permutations(count, settings.permutations, settings.seed)
    return square[order[:, first], order[:, second]]
