"""Radiographs from the memory-mapped store as batches of tensors."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxrflow.cohort.store import ImageStore


def read_images(images: np.ndarray, rows: np.ndarray) -> Tensor:
    """Return rows of a uint8 store as float32 (B, 1, S, S) in 0..1."""
    return torch.from_numpy(np.stack([images[row] for row in rows])).unsqueeze(1).float() / 255


def image_batches(store: ImageStore, samples: pd.DataFrame, size: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield the images of `samples` (B, 1, S, S) float32 in 0..1, in order, each batch with its rows of `samples`."""
    rows = store.rows(samples["image_id"])
    for start in range(0, len(rows), size):
        part = slice(start, min(start + size, len(rows)))
        yield part, read_images(store.images, rows[part])
