"""Bags of slices, their features in one tensor, as batches for training and in order for evaluation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxrflow.clear.feature_store import FeatureStore
from cxrflow.ragged import ranges

AT_ONCE = 16_384  # slices in evaluation


@dataclass(frozen=True)
class Bags:
    """Bags by place: rows `starts[k]` and the next `counts[k]` of the features (N, d), and labels (B, C)."""

    features: NDArray[np.float16]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    labels: Tensor

    @classmethod
    def of(cls, store: FeatureStore, rows: pd.DataFrame, labels: tuple[str, ...]) -> "Bags":
        """Return the bags of some rows of a task."""
        truth = rows[list(labels)].to_numpy(dtype=np.float32, copy=True)
        return cls(store.features, *store.bags(rows["bag"]), torch.from_numpy(truth))

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, places: NDArray[np.intp]) -> "Bags":
        """Return the bags at some places."""
        return Bags(self.features, self.starts[places], self.counts[places], self.labels[torch.from_numpy(places)])

    def rows(self) -> NDArray[np.int64]:
        """Return the rows (N,) of all slices of all bags, one bag after the other."""
        return ranges(self.starts, self.counts)

    def batch(self, most: int | None = None, rng: np.random.Generator | None = None) -> dict[str, Tensor]:
        """Return features (N, d) float32, the bag `owner` (N,) of each slice, and labels (B, C).

        With a generator, bags of more than `most` slices give that many, drawn at random and in order. All slices are
        as likely: CLEAR always took the annotated ones, in tests as well.
        """
        rows, counts = self.rows(), self.counts
        if rng is not None and most is not None and (counts > most).any():
            rows, counts = _drawn(self.starts, counts, most, rng)
        owner = np.repeat(np.arange(len(counts)), counts)
        features = torch.from_numpy(self.features[rows].astype(np.float32))
        return {"features": features, "owner": torch.from_numpy(owner), "labels": self.labels}

    def in_order(self) -> Iterator["Bags"]:
        """Yield all bags in parts of a bounded number of slices, at least one bag each."""
        part = (np.cumsum(self.counts) - self.counts) // AT_ONCE
        for number in np.unique(part):
            yield self.at(np.flatnonzero(part == number))


@dataclass(frozen=True)
class BagBatches:
    """Training batches of bags; their order, and the slices drawn of large ones, are functions of (seed, epoch)."""

    bags: Bags
    size: int
    most: int | None
    seed: int

    def __len__(self) -> int:
        return -(-len(self.bags) // self.size)

    def epoch(self, number: int) -> Iterator[dict[str, Tensor]]:
        """Yield one epoch in a fresh order; the last batch may be smaller."""
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(len(self.bags))
        for start in range(0, len(order), self.size):
            yield self.bags.at(order[start : start + self.size]).batch(self.most, rng)


def _drawn(
    starts: NDArray[np.int64], counts: NDArray[np.int64], most: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of at most `most` slices of each bag, and how many each gives."""
    kept = [
        start + (np.sort(rng.choice(count, most, replace=False)) if count > most else np.arange(count))
        for start, count in zip(starts.tolist(), counts.tolist(), strict=True)
    ]
    return np.concatenate(kept), np.minimum(counts, most)
