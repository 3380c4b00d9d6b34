"""Radiographs with their reports, batch by batch from the memory-mapped store."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxrflow.cohort.store import ImageStore
from cxrflow.errors import UserError
from cxrflow.radiographs import ShuffledBatches, StoredRadiographs, shuffled_places
from cxrflow.towers import WordPieces


@dataclass(frozen=True)
class Pairs(StoredRadiographs):
    """N radiographs of the store by row, their words (N, L) int64, the number of their report (N,) and their labels
    (N, C) float32. Radiographs with the same report text share its number."""

    tokens: Tensor
    texts: Tensor
    labels: Tensor
    pad: int

    def at(self, places: np.ndarray) -> "Pairs":
        """Return some of the pairs."""
        chosen = torch.from_numpy(places)
        parts = (self.tokens[chosen], self.texts[chosen], self.labels[chosen])
        return Pairs(self.images, self.rows[places], *parts, self.pad)

    def beside(self, places: np.ndarray) -> dict[str, Tensor]:
        """Return words without needless padding, text numbers and labels."""
        chosen = torch.from_numpy(places)
        tokens = self.tokens[chosen]
        longest = int((tokens != self.pad).sum(dim=1).max())
        return {"tokens": tokens[:, :longest], "texts": self.texts[chosen], "labels": self.labels[chosen]}


@dataclass(frozen=True, kw_only=True)
class PairBatches(ShuffledBatches):
    """Training batches that know how far training has come, `progress` (B,) from 0 to 1, from the pairs seen before.

    What is annealed depends on that alone, however pairs are accumulated or dealt out. `done` of the `epochs` were
    trained in an earlier phase.
    """

    epochs: int
    done: int = 0

    def epoch(self, number: int) -> Iterator[dict[str, Tensor]]:
        """Yield one epoch in a fresh order; the last batch may be smaller."""
        number += self.done
        seen, whole = number * self.examples, self.epochs * self.examples
        for batch in super().epoch(number):
            count = len(batch["tokens"])
            yield {**batch, "progress": torch.full((count,), seen / whole)}
            seen += count


@dataclass(frozen=True)
class TextBatches:
    """Training batches of texts alone; their order is a function of (seed, epoch)."""

    data: Pairs
    size: int
    seed: int

    def __len__(self) -> int:
        return -(-len(self.data) // self.size)

    def epoch(self, number: int) -> Iterator[dict[str, Tensor]]:
        """Return one epoch in a fresh order; the last batch may be smaller."""
        return map(self.data.beside, shuffled_places(len(self.data), self.size, self.seed, number))


def pairs_of(master: pd.DataFrame, split: str, store: ImageStore, words: WordPieces) -> Pairs:
    """Return one split of the data set; one without radiographs is an error."""
    chosen = master[master["split"] == split]
    if chosen.empty:
        raise UserError(
            f"The {split} split of the data set has no radiograph.",
            "compare patchib/distribution.csv and patchib/dropped.csv with cohort/split.parquet.",
        )
    codes, texts = pd.factorize(chosen["query"])
    return Pairs(
        store.images,
        store.rows(chosen["dicom_id"]),
        words.encode(list(texts))[torch.from_numpy(codes)],
        torch.from_numpy(codes.astype(np.int64)),
        torch.from_numpy(np.stack(chosen["labels"].tolist()).astype(np.float32)),
        words.pad,
    )
