"""Would other seeds, another share or another compression have made other images exemplars?"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from cxrflow.forgetting.agreement import Floats, row_agreement
from cxrflow.forgetting.ensembles import Ensembles
from cxrflow.forgetting.exemplars import Mask, comparable, exemplar_count, find_exemplars, members, share_ratios
from cxrflow.forgetting.predictions import Truth
from cxrflow.forgetting.settings import ExemplarSettings
from cxrflow.metrics import Estimate

_STEP = 10  # pairs of halves at once


@dataclass(frozen=True)
class Stability:
    """Exemplars of one half of the seeds against those of another, over random halves."""

    jaccard: Estimate
    """Shared exemplars over all exemplars of both, mean and 2.5th and 97.5th percentile over the halves."""
    chance: float
    """What two sets of this size that have nothing to do with each other would share on average."""
    correlation: Estimate
    """Spearman's correlation of the images' agreements, likewise."""
    halves: int
    """Pairs of halves that were compared: all there are, where these are fewer than asked for."""
    seeds: int
    """Seeds in each half."""


@dataclass(frozen=True)
class Variant:
    """The exemplars of another share and level, against the chosen ones."""

    share: float
    level: float
    jaccard: float
    largest: float
    """The largest Jaccard index that sets of these sizes can have."""
    correlation: float
    """Spearman's correlation of the ratios of the classes; NaN with fewer than three classes in common."""


def jaccard(first: Mask, second: Mask) -> Floats:
    """Return shared over all members of two sets of images (..., N); NaN where both are empty."""
    shared, either = (first & second).sum(axis=-1), (first | second).sum(axis=-1)
    return np.divide(shared, either, out=np.full(np.shape(either), np.nan), where=either > 0)


def chance_jaccard(images: int, count: int) -> float:
    """Return the expected Jaccard index of two random sets of `count` out of `images`."""
    if count == 0:
        return math.nan
    shared = np.arange(count + 1)
    return float(hypergeom(images, count, count).pmf(shared) @ (shared / (2 * count - shared)))


def stability(ensembles: Ensembles, truth: Truth, settings: ExemplarSettings, seed: int) -> Stability:
    """Compare the exemplars of disjoint halves of the seeds (an odd one is left out); NaN with one seed."""
    halves = seed_halves(len(ensembles.seeds), settings.halves, seed)
    overlaps, correlations = [], []
    for start in range(0, len(halves), _STEP):
        agreement = ensembles.of_seeds(halves[start : start + _STEP].reshape(-1, halves.shape[2]))
        chosen = find_exemplars(agreement, truth.image_ids, settings.share)
        overlaps.append(jaccard(chosen[::2], chosen[1::2]))
        correlations.append(row_agreement(*(comparable(agreement[side::2]) for side in (0, 1))).correlation)
    return Stability(
        _over_halves(overlaps),
        chance_jaccard(len(truth.image_ids), exemplar_count(len(truth.image_ids), settings.share)),
        _over_halves(correlations),
        len(halves),
        len(ensembles.seeds) // 2,
    )


def seed_halves(seeds: int, wanted: int, seed: int) -> NDArray[np.int64]:
    """Return (H, 2, S): which seeds are in each of two disjoint halves of S // 2 seeds, 1 or 0.

    All different pairs of halves where there are at most `wanted` of them (one pair with two seeds, three with three or
    four), else `wanted` random ones; none with one seed.
    """
    size = seeds // 2
    different = math.comb(seeds, size) * math.comb(seeds - size, size) // 2
    if size == 0:
        return np.zeros((0, 2, seeds), dtype=np.int64)
    generator = np.random.default_rng(seed)
    pairs = _all_pairs(seeds, size) if different <= wanted else (generator.permutation(seeds) for _ in range(wanted))
    halves = np.zeros((min(different, wanted), 2, seeds), dtype=np.int64)
    for half, order in zip(halves, pairs, strict=True):
        half[0, order[:size]] = half[1, order[size : 2 * size]] = 1
    return halves


def sensitivity(ensembles: Ensembles, truth: Truth, settings: ExemplarSettings) -> Iterator[Variant]:
    """Yield the exemplars of every share and level against those of the settings."""
    groups = members(truth)[:, : len(truth.classes)]
    default = find_exemplars(ensembles.at(ensembles.level).correlation, truth.image_ids, settings.share)
    ratios = share_ratios(groups, default[None])
    for level in ensembles.levels[1:]:
        agreement = ensembles.at(level).correlation
        for share in settings.shares:
            chosen = find_exemplars(agreement, truth.image_ids, share)
            sizes = sorted([int(chosen.sum()), int(default.sum())])
            largest = sizes[0] / sizes[1] if sizes[1] else math.nan
            correlation = _rank_correlation(ratios, share_ratios(groups, chosen[None]))
            yield Variant(share, float(level), float(jaccard(default, chosen)), largest, correlation)


def _rank_correlation(first: Floats, second: Floats) -> float:
    known = ~np.isnan(first[0]) & ~np.isnan(second[0])
    return float(row_agreement(first[:, known], second[:, known]).correlation[0]) if known.sum() > 2 else math.nan


def _all_pairs(seeds: int, size: int) -> Iterator[NDArray[np.int64]]:
    """Yield each unordered pair of disjoint halves once, as one array with the first half in front."""
    for both in combinations(range(seeds), 2 * size):
        for others in combinations(both[1:], size - 1):
            first = (both[0], *others)
            yield np.array([*first, *(place for place in both if place not in first)])


def _over_halves(parts: list[Floats]) -> Estimate:
    values = np.concatenate(parts) if parts else np.empty(0)
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return Estimate(math.nan, math.nan, math.nan)
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) > 1 else (math.nan, math.nan)
    return Estimate(float(known.mean()), float(low), float(high))
