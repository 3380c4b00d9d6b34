"""Radiographs from the memory-mapped store as batches of tensors."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxrflow.augment import Augmentation, augment
from cxrflow.cohort.store import ImageStore
from cxrflow.ragged import alike_together


class Radiographs(Protocol):
    """Examples by place; a batch of them holds `images` (B, 1, S, S) in 0..1 and whatever a system learns from them."""

    def __len__(self) -> int: ...

    def batch(self, places: np.ndarray) -> dict[str, Tensor]:
        """Return the examples at some places."""
        ...


@dataclass(frozen=True)
class StoredRadiographs(ABC):
    """N radiographs of the store by row (N,); systems add what they learn from beside the images."""

    images: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, places: np.ndarray) -> dict[str, Tensor]:
        """Return images (B, 1, S, S) float32 in 0..1, and what `beside` returns."""
        return {"images": read_images(self.images, self.rows[places]), **self.beside(places)}

    @abstractmethod
    def beside(self, places: np.ndarray) -> dict[str, Tensor]:
        """Return what belongs to the radiographs at some places, without their images."""


@dataclass(frozen=True)
class ShuffledBatches:
    """Training batches of all examples, or of those at some `places`, augmented unless `how` is None.

    Order and augmentation are functions of (seed, epoch). Examples of like `lengths` (N,) share a batch where these are
    given.
    """

    data: Radiographs
    size: int
    seed: int
    how: Augmentation | None = field(default_factory=Augmentation)
    places: np.ndarray | None = None
    lengths: np.ndarray | None = None

    def __len__(self) -> int:
        return -(-self.examples // self.size)

    @property
    def examples(self) -> int:
        """How many an epoch holds."""
        return len(self.data if self.places is None else self.places)

    def epoch(self, number: int) -> Iterator[dict[str, Tensor]]:
        """Yield one epoch in a fresh order; one batch may be smaller."""
        generator = epoch_generator(self.seed, number)
        wanted = len(self.data) if self.places is None else self.places
        for chosen in shuffled_places(wanted, self.size, self.seed, number, self.lengths):
            batch = self.data.batch(chosen)
            yield batch if self.how is None else {**batch, "images": augment(batch["images"], generator, self.how)}


def in_order(data: Radiographs, size: int) -> Iterator[dict[str, Tensor]]:
    """Yield every example once, in order and unchanged."""
    for start in range(0, len(data), size):
        yield data.batch(np.arange(start, min(start + size, len(data))))


def shuffled_places(
    places: int | np.ndarray, size: int, seed: int, number: int, lengths: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Yield the places of each batch of an epoch, of so many examples or of those at some places, by (seed, number).

    With `lengths` of all examples, those of like length share a batch; batches are in no order of length.
    """
    generator = np.random.default_rng([seed, number])
    order = generator.permutation(places)
    starts = np.arange(0, len(order), size)
    if lengths is not None:
        order, starts = alike_together(order, lengths, size), generator.permutation(starts)
    for start in starts.tolist():
        yield order[start : start + size]


def epoch_generator(seed: int, number: int) -> torch.Generator:
    """Return the generator, on the processor, that changes the images of an epoch."""
    return torch.Generator().manual_seed(seed * 100_003 + number)


def read_images(images: np.ndarray, rows: np.ndarray) -> Tensor:
    """Return rows of a uint8 store as float32 (B, 1, S, S) in 0..1."""
    return torch.from_numpy(np.stack([images[row] for row in rows])).unsqueeze(1).float() / 255


def image_batches(store: ImageStore, samples: pd.DataFrame, size: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield the images of `samples` (B, 1, S, S) float32 in 0..1, in order, each batch with its rows of `samples`."""
    rows = store.rows(samples["image_id"])
    for start in range(0, len(rows), size):
        part = slice(start, min(start + size, len(rows)))
        yield part, read_images(store.images, rows[part])
