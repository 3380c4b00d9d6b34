"""Radiographs decoded once per size into one grey memory map that every reader opens without a copy."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from cxrflow.cohort.quarantine import Quarantine
from cxrflow.errors import UserError
from cxrflow.files import atomic_path, confined, sha256, write_table, write_text

logger = logging.getLogger(__name__)

# The largest digital radiographs have about 4,300 x 3,500 pixels; far larger files are broken or hostile.
MAXIMUM_PIXELS = 64_000_000


@dataclass(frozen=True)
class ImageStore:
    """All images of a cohort at one size."""

    images: np.ndarray
    """(N, size, size) uint8, memory-mapped."""
    index: pd.DataFrame
    """One row per decoded image: image_id, row (in `images`), height, width (pixels of the source), source_bytes."""

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
        places = pd.Index(self.index["image_id"]).get_indexer(pd.Index(image_ids))
        if (places < 0).any():
            raise UserError(
                f"{int((places < 0).sum())} images are not in the store.", "it belongs to another manifest."
            )
        return self.index["row"].to_numpy()[places]


def decode(path: Path, size: int) -> np.ndarray:
    """Return the image as (size, size) uint8 grey, averaged over the area of each pixel.

    The aspect ratio is not kept (as NEURAL resizes its input to a square). Raises ValueError or OSError
    where the file is not a whole, reasonable image.
    """
    with Image.open(path) as image:
        if image.width * image.height > MAXIMUM_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are too many")
        image.draft("L", (2 * size, 2 * size))  # JPEG decodes at a fraction of its size where that is enough
        grey = image.convert("L").resize((size, size), Image.Resampling.BOX)
    return np.asarray(grey)


def build_store(manifest: pd.DataFrame, root: Path, size: int, output: Path, workers: int, refused: Quarantine) -> None:
    """Decode every image of `manifest` below `root` into `output` (.npy), with its index (.parquet) and checksum.

    Images that can't be decoded go to `refused` and not into the store. Memory is bounded: pixels go straight to
    the file.
    """
    sizes = np.zeros(len(manifest), dtype=np.int64)
    whole = np.zeros(len(manifest), dtype=bool)
    paths = manifest["path"].tolist()
    with atomic_path(output) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=(len(manifest), size, size))

        def work(row: int) -> str | None:
            try:
                path = confined(root, paths[row])
                array[row] = decode(path, size)
                sizes[row], whole[row] = path.stat().st_size, True
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                return f"the image can't be decoded ({type(error).__name__})"
            return None

        with ThreadPoolExecutor(workers) as pool:
            for row, reason in enumerate(pool.map(work, range(len(manifest)), chunksize=16)):
                if reason:
                    refused.add(paths[row], manifest["image_id"].iloc[row], reason)
                if row % 10_000 == 9_999:
                    logger.info("%d of %d images decoded", row + 1, len(manifest))
        array.flush()
        del array
    index = manifest[["image_id", "height", "width"]].assign(row=np.arange(len(manifest)), source_bytes=sizes)[whole]
    write_table(output.with_suffix(".parquet"), index)
    write_text(output.with_suffix(".sha256"), f"{sha256(output)}  {output.name}\n")
