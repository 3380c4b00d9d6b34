"""Pruning-identified exemplars (PIEs): the images that the compressed ensemble reads most differently.

After Holste et al. (MICCAI 2023), who carry the idea of Hooker et al. to several labels per image: exemplars are the
images in which the order of the class probabilities agrees least between the whole and the compressed ensemble.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrflow.cohort.long_tail import NO_FINDING
from cxrflow.forgetting.agreement import Floats
from cxrflow.forgetting.ensembles import Ensembles
from cxrflow.forgetting.predictions import Truth
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.metrics import resample_weights

logger = logging.getLogger(__name__)

DISEASE_BINS = ("0", "1", "2", "3", "4+")
Mask = NDArray[np.bool_]
_CELLS = 400_000  # resamples x images held at once


@dataclass(frozen=True)
class Ratios:
    """How many times more often each class and disease count is among the exemplars than among the other images."""

    fixed: Floats
    """(R, C + 5): classes, then disease counts 0, 1, 2, 3, 4+."""
    legacy: Floats
    """(R, 5): disease counts by the released formula; NaN where patient ids are no numbers."""


def exemplar_count(images: int, share: float) -> int:
    """Return floor(share N): products that only rounding keeps below a whole number count as that number."""
    return math.floor(round(share * images, 9))


def find_exemplars(agreement: ArrayLike, image_ids: ArrayLike, share: float) -> Mask:
    """Return which images (..., N) are the floor(share N) of lowest agreement (..., N).

    Images without agreement (constant predictions) come first: a model that orders nothing agrees with nothing. Ties
    are broken by image id, so the order of the rows changes nothing.
    """
    values = comparable(agreement)
    by_id = np.argsort(np.asarray(image_ids), kind="stable")
    order = np.argsort(values[..., by_id], axis=-1, kind="stable")
    lowest = by_id[order[..., : exemplar_count(len(by_id), share)]]
    chosen = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(chosen, lowest, True, axis=-1)
    return chosen


def comparable(agreement: ArrayLike) -> Floats:
    """Return agreements in which NaN is replaced by what is lower than any."""
    values = np.asarray(agreement, dtype=np.float64)
    return np.where(np.isnan(values), -np.inf, values)


def disease_counts(truth: Truth) -> NDArray[np.int64]:
    """Return how many diseases each image (N,) shows: its positive labels without No Finding."""
    diseases = [place for place, name in enumerate(truth.classes) if name != NO_FINDING]
    return (truth.labels[:, diseases] == 1).sum(axis=1)


def legacy_disease_counts(truth: Truth) -> NDArray[np.int64] | None:
    """Return the disease counts (N,) as released: the numeric patient id, a column of the label file, adds to the sum.

    None where patient ids are no numbers; the released analysis would end with an error there.
    """
    try:
        ids = truth.patient_ids.astype(np.int64)
    except ValueError:
        return None
    return disease_counts(truth) + ids


def members(truth: Truth) -> Floats:
    """Return (N, C + 5): which classes an image has, then in which bin its disease count is; NaN where not known."""
    binned = np.minimum(disease_counts(truth), len(DISEASE_BINS) - 1)
    return np.hstack([truth.labels, binned[:, None] == np.arange(len(DISEASE_BINS))]).astype(np.float64)


def share_ratios(groups: Floats, chosen: Mask, weights: NDArray | None = None) -> Floats:
    """Return (R, G): the share of each group (N, G) among `chosen` (R, N) over its share among the other images.

    `weights` (R, N) tells how often each image counts. NaN members take no part in their group. A ratio is NaN where
    either side has no image of known membership, or where no other image is in the group.
    """
    drawn = np.ones(chosen.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    inside, known = np.nan_to_num(groups), (~np.isnan(groups)).astype(np.float64)
    sides = (drawn * chosen, drawn * ~chosen)
    among_chosen, among_others = (_divide(side @ inside, side @ known) for side in sides)
    return _divide(among_chosen, among_others)


def legacy_bins(values: NDArray, weights: NDArray) -> Floats:
    """Return the released analysis' shares (5,) of disease counts in one group of images.

    It takes the four lowest *distinct* sums for the counts 0 to 3, whatever they are, and all others for 4+. Bins that
    the group has too few distinct sums for are NaN (an error there).
    """
    totals = np.bincount(values, weights)
    totals = totals[totals > 0]
    if len(totals) < len(DISEASE_BINS):
        return np.full(len(DISEASE_BINS), np.nan)
    return np.r_[totals[:4], totals[4:].sum()] / totals.sum()


def legacy_ratios(sums: NDArray | None, chosen: Mask, weights: NDArray | None = None) -> Floats:
    """Return (R, 5): `legacy_bins` of `chosen` (R, N) over those of the other images; `sums` (N,) or None (all NaN)."""
    ratios = np.full((len(chosen), len(DISEASE_BINS)), np.nan)
    if sums is None:
        return ratios
    _, places = np.unique(sums, return_inverse=True)
    for row, mask in enumerate(chosen):
        drawn = np.ones(len(sums)) if weights is None else weights[row].astype(np.float64)
        ratios[row] = _divide(*(legacy_bins(places[side], drawn[side]) for side in (mask, ~mask)))
    return ratios


def ratios_of(truth: Truth, chosen: Mask, weights: NDArray | None = None) -> Ratios:
    """Return all ratios for sets of exemplars (R, N), with the images counted `weights` (R, N) times."""
    legacy = legacy_ratios(legacy_disease_counts(truth), chosen, weights)
    return Ratios(share_ratios(members(truth), chosen, weights), legacy)


def resampled_ratios(ensembles: Ensembles, truth: Truth, share: float, settings: ForgettingSettings) -> Ratios:
    """Return the ratios over resamples of seeds and patients together.

    Seeds drawn with replacement make new ensembles and with them a new set of exemplars; patients drawn with
    replacement make the weights of the images in the ratios. With one seed only the patients vary.
    """
    count = settings.resamples
    seeds = resample_weights(ensembles.seeds, count, settings.seed)
    patients = resample_weights(truth.patient_ids, count, settings.seed + 1)  # a stream apart from that of the seeds
    step = max(1, _CELLS // max(1, len(truth.image_ids)))
    parts = []
    for start in range(0, count, step):
        block = slice(start, start + step)
        chosen = find_exemplars(ensembles.of_seeds(seeds[block]), truth.image_ids, share)
        parts.append(ratios_of(truth, chosen, patients[block]))
    return Ratios(*(np.concatenate(values) for values in _transpose(parts)))


def _transpose(parts: Sequence[Ratios]) -> tuple[list[Floats], list[Floats]]:
    return [part.fixed for part in parts], [part.legacy for part in parts]


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full(np.shape(denominator), np.nan), where=denominator > 0)
