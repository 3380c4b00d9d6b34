"""A patient-disjoint split of a long tail: every class in every split, as far as whole patients allow."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.simulation.studies import SPLITS

_SERVED = (0, 2, 1)  # train, then test, then validate: which of them gets one of few patients first


def split_patients(
    classes: pd.DataFrame, patients: pd.Series, shares: tuple[float, float, float], rng: np.random.Generator
) -> dict[str, str]:
    """Return patient -> train, validate or test; `classes` has True or False for each image (rows) and class.

    Iterative stratification (Sechidis et al., ECML PKDD 2011) of whole patients by their numbers of images: the class
    with the fewest patients is dealt out first, each patient to the split that wants most images of it. Before that,
    every split that lacks the class gets its smallest patient, which the method alone does not grant a class of three.
    """
    counts = classes.groupby(patients.to_numpy()).sum()
    sizes = patients.value_counts()[counts.index].to_numpy()
    deal = _Deal(counts.to_numpy(np.float64), sizes.astype(np.float64), np.asarray(shares))
    order = rng.permutation(len(counts))
    for column in np.argsort((deal.counts > 0).sum(axis=0), kind="stable"):
        members = [row for row in order.tolist() if deal.counts[row, column] > 0]
        for split in _SERVED:
            waiting = [row for row in members if deal.split[row] < 0]
            if waiting and not any(deal.split[row] == split for row in members):
                deal.give(min(waiting, key=lambda row: deal.sizes[row]), split)
        for row in members:
            if deal.split[row] < 0:
                deal.give(row, int(np.lexsort((deal.room, deal.wanted[:, column]))[-1]))
    return dict(zip(counts.index, (SPLITS[split] for split in deal.split), strict=True))


class _Deal:
    """Who has been dealt to which split so far (-1 nowhere), and how many images each split still wants."""

    def __init__(self, counts: NDArray[np.float64], sizes: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
        self.counts, self.sizes = counts, sizes
        self.split = np.full(len(counts), -1)
        self.wanted = shares[:, None] * counts.sum(axis=0)
        self.room = shares * sizes.sum()

    def give(self, row: int, split: int) -> None:
        self.split[row] = split
        self.wanted[split] -= self.counts[row]
        self.room[split] -= self.sizes[row]
