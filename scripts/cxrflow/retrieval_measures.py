"""Retrieval between radiographs and their reports (texts or graphs) on a test split, with resamples of patients.

A report counts once, whoever shares it: its group is the same for the same text. A radiograph looks among the
different reports; the report of a study looks among all radiographs, and any one of its group is a hit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrflow.measured import Measured
from cxrflow.metrics import weighted_mean, weighted_median
from cxrflow.retrieval import AT, chance_of_rank, ranks, recalls


@dataclass(frozen=True)
class Retrieval:
    """Queries (Q,) by the radiograph that each stands for, the rank of what they look for, and what a random order
    gives at each of `AT`."""

    queries: NDArray[np.intp]
    rank: NDArray[np.float64]
    chance: NDArray[np.float64]

    def measures(self, weights: NDArray) -> dict[str, Measured]:
        """Return R@1, 5, 10 and the median rank by name; `weights` (R, N) says how often each radiograph is drawn."""
        drawn = weights[:, self.queries]
        found = {
            metric: Measured(float(hits.mean()), weighted_mean(hits, drawn), 1, float(chance))
            for (metric, hits), chance in zip(recalls(self.rank).items(), self.chance, strict=True)
        }
        middle = Measured(float(weighted_median(self.rank)[0]), weighted_median(self.rank, drawn), 1, np.nan)
        return found | {"median rank": middle}


def to_reports(images: NDArray, reports: NDArray, groups: NDArray) -> Retrieval:
    """Let every radiograph (N, D) look for its report among the different ones; `groups` (N,) says which are alike."""
    unique, first = np.unique(groups, return_index=True)
    rank = ranks(images, reports[first], groups, unique)
    return Retrieval(np.arange(len(images)), rank, _chance(groups, unique))


def to_images(images: NDArray, reports: NDArray, groups: NDArray, studies: NDArray) -> Retrieval:
    """Let the report of each study look for its radiographs among all; `studies` (N,) names the study of each."""
    _, first = np.unique(studies, return_index=True)
    rank = ranks(reports[first], images, groups[first], groups)
    return Retrieval(first, rank, _chance(groups[first], groups))


def _chance(queries: NDArray, gallery: NDArray) -> NDArray[np.float64]:
    return np.array([chance_of_rank(queries, gallery, at).mean() for at in AT])
