"""AUROC and average precision of labels, one by one and on average, with their resamples of patients."""

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from cxrflow.measured import MEAN, Measured
from cxrflow.ranking import Ranking
from cxrflow.resampled_areas import resampled_areas

AUROC, PRECISION = "auroc", "auprc"

Numbers = dict[tuple[str, str], Measured]
"""What one model gives, by label and metric."""


def label_areas(
    truth: NDArray, scores: NDArray, labels: Sequence[str], patient: NDArray[np.intp], drawn: NDArray[np.float32]
) -> Numbers:
    """Return AUROC and average precision of every label that can be scored, and their means over these labels.

    `truth` (N, C) is 1, 0 or NaN (not known), `scores` (N, C), `patient` (N,) the row of each example in `drawn`
    (patients, R), how often a patient is in each resample. Labels with one outcome, or with a score that is NaN, are
    left out. A resample counts for the mean with the labels that have both outcomes in it.
    """
    found: Numbers = {}
    for label, outcome, score in zip(labels, truth.T, scores.T, strict=True):
        if not np.isnan(score).any():
            found |= areas_of(label, outcome, score, patient, drawn)
    return found | means_over_labels(found, (AUROC, PRECISION), mean=np.nanmean)


def areas_of(
    label: str, outcome: NDArray, score: NDArray, patient: NDArray[np.intp], drawn: NDArray[np.float32]
) -> Numbers:
    """Return AUROC and average precision of one label, (N,) both its outcomes and scores; nothing with one outcome.

    Chance gives 0.5 and the share of positives.
    """
    ranking = Ranking.of(outcome, score)
    if ranking.one_outcome:
        return {}
    areas, precisions = resampled_areas(ranking, patient, drawn)
    prevalence = ranking.positives / len(ranking.order)
    return {
        (label, AUROC): Measured(ranking.auroc(), areas, 1, 0.5),
        (label, PRECISION): Measured(ranking.average_precision(), precisions, 1, prevalence),
    }


def means_over_labels(
    found: Numbers,
    metrics: Sequence[str],
    left_out: Collection[str] = (),
    mean: Callable[..., NDArray[np.float64]] = np.mean,
) -> Numbers:
    """Return the mean of each metric over the labels that have it, but for those to be left out.

    A resample counts where all of these labels have a value; with `np.nanmean` as `mean` those that have one count.
    """
    means: Numbers = {}
    for metric in metrics:
        parts = [number for (label, own), number in found.items() if own == metric and label not in left_out]
        if parts:
            value, chance = (float(np.mean([getattr(part, name) for part in parts])) for name in ("value", "chance"))
            means[MEAN, metric] = Measured(value, mean([part.resampled for part in parts], axis=0), 1, chance)
    return means
