"""Radiographs with their reports, batch by batch from the memory-mapped store."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxrflow.augment import Augmentation
from cxrflow.cohort.store import ImageStore
from cxrflow.errors import UserError
from cxrflow.patchib.towers import WordPieces
from cxrflow.radiographs import read_images, shuffled_epoch


@dataclass(frozen=True)
class Pairs:
    """N radiographs of the store by row, their words (N, L) int64, the number of their report (N,) and their labels
    (N, C) float32. Radiographs with the same report text share its number."""

    images: np.ndarray
    rows: np.ndarray
    tokens: Tensor
    texts: Tensor
    labels: Tensor
    pad: int

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, places: np.ndarray) -> "Pairs":
        """Return some of the pairs."""
        chosen = torch.from_numpy(places)
        parts = (self.tokens[chosen], self.texts[chosen], self.labels[chosen])
        return Pairs(self.images, self.rows[places], *parts, self.pad)

    def batch(self, places: np.ndarray) -> dict[str, Tensor]:
        """Return images (B, 1, S, S) float32 in 0..1, and what `texts_at` returns."""
        return {"images": read_images(self.images, self.rows[places]), **self.texts_at(places)}

    def texts_at(self, places: np.ndarray) -> dict[str, Tensor]:
        """Return words without needless padding, text numbers and labels."""
        chosen = torch.from_numpy(places)
        tokens = self.tokens[chosen]
        longest = int((tokens != self.pad).sum(dim=1).max())
        return {"tokens": tokens[:, :longest], "texts": self.texts[chosen], "labels": self.labels[chosen]}


@dataclass(frozen=True)
class PairBatches:
    """Training batches; order and augmentation are functions of (seed, epoch).

    Each batch knows how far training has come, `progress` (B,) from 0 to 1, from the pairs seen before it: what is
    annealed depends on that alone, however pairs are accumulated or dealt out. `done` of the `epochs` were trained
    in an earlier phase.
    """

    data: Pairs
    size: int
    seed: int
    epochs: int
    done: int = 0

    def __len__(self) -> int:
        return -(-len(self.data) // self.size)

    def epoch(self, number: int) -> Iterator[dict[str, Tensor]]:
        """Yield one epoch in a fresh order; the last batch may be smaller."""
        number += self.done
        seen, whole = number * len(self.data), self.epochs * len(self.data)
        for batch in shuffled_epoch(self.data, self.size, self.seed, number, Augmentation()):
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
        """Yield one epoch in a fresh order; the last batch may be smaller."""
        order = np.random.default_rng([self.seed, number]).permutation(len(self.data))
        for start in range(0, len(order), self.size):
            yield self.data.texts_at(order[start : start + self.size])


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
