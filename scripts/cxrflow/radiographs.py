"""Radiographs from the memory-mapped store as batches of tensors."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxrflow.augment import Augmentation, augment
from cxrflow.cohort.store import ImageStore


class Radiographs(Protocol):
    """Examples by place; a batch of them holds `images` (B, 1, S, S) in 0..1 and whatever a system learns from them."""

    def __len__(self) -> int: ...

    def batch(self, places: np.ndarray) -> dict[str, Tensor]:
        """Return the examples at some places."""
        ...


def in_order(data: Radiographs, size: int) -> Iterator[dict[str, Tensor]]:
    """Yield every example once, in order and unchanged."""
    for start in range(0, len(data), size):
        yield data.batch(np.arange(start, min(start + size, len(data))))


def shuffled_epoch(
    data: Radiographs, size: int, seed: int, number: int, how: Augmentation | None, places: np.ndarray | None = None
) -> Iterator[dict[str, Tensor]]:
    """Yield one epoch in a fresh order, images augmented (or not, with None), both by (seed, number).

    Of all examples, or of those at some `places`; the last batch may be smaller.
    """
    order = np.random.default_rng([seed, number]).permutation(len(data) if places is None else places)
    generator = torch.Generator().manual_seed(seed * 100_003 + number)
    for start in range(0, len(order), size):
        batch = data.batch(order[start : start + size])
        yield batch if how is None else {**batch, "images": augment(batch["images"], generator, how)}


def read_images(images: np.ndarray, rows: np.ndarray) -> Tensor:
    """Return rows of a uint8 store as float32 (B, 1, S, S) in 0..1."""
    return torch.from_numpy(np.stack([images[row] for row in rows])).unsqueeze(1).float() / 255


def image_batches(store: ImageStore, samples: pd.DataFrame, size: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield the images of `samples` (B, 1, S, S) float32 in 0..1, in order, each batch with its rows of `samples`."""
    rows = store.rows(samples["image_id"])
    for start in range(0, len(rows), size):
        part = slice(start, min(start + size, len(rows)))
        yield part, read_images(store.images, rows[part])
