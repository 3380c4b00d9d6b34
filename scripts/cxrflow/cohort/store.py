"""Radiographs decoded once per size into one grey memory map that every reader opens without a copy."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from cxrflow.errors import UserError


@dataclass(frozen=True)
class ImageStore:
    """All images of a cohort at one size."""

    images: np.ndarray
    """(N, size, size) uint8, memory-mapped."""
    index: pd.DataFrame
    """One row per decoded image: image_id, row (in `images`), height, width (pixels of the source), source_bytes,
    sha256 (of the source file)."""

    @classmethod
    def open(cls, images: Path, index: Path) -> "ImageStore":
        """Open a store without reading its pixels."""
        table = pd.read_parquet(index)
        array = np.load(images, mmap_mode="r", allow_pickle=False)
        if table["row"].max() >= len(array):
            raise UserError(
                f"{images} holds {len(array)} images, fewer than its index says.", "delete both and run again."
            )
        return cls(array, table)

    def rows(self, image_ids: pd.Series | list[str]) -> np.ndarray:
        """Return the row of each image; raise UserError where one is not in the store."""
        places = self._ids.get_indexer(pd.Index(image_ids))
        if (places < 0).any():
            raise UserError(
                f"{int((places < 0).sum())} images are not in the store.", "it belongs to another manifest."
            )
        return self.index["row"].to_numpy()[places]

    @cached_property
    def _ids(self) -> pd.Index:
        return pd.Index(self.index["image_id"])
