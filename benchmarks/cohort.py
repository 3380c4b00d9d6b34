"""Image store against decoding in every epoch; study look-up against a scan over all paths."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.timing import Comparison
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.store import ImageStore, build_store

IMAGES, PIXELS, SIZE = 64, 2048, 224
PATHS, LOOKUPS = 100_000, 100


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """Yield the comparisons of this room."""
    with tempfile.TemporaryDirectory() as folder:
        yield [_epoch(Path(folder)), _lookup()]


def _epoch(folder: Path) -> Comparison:
    """One epoch over images: from the store, and the way the released codes do it (open, decode, resize)."""
    rows, columns = np.mgrid[:PIXELS, :PIXELS] / PIXELS
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        texture = random.normal(0, 8, (PIXELS, PIXELS))
        image = 128 + 100 * np.sin(7 * rows + number) * np.cos(5 * columns) + texture
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=95)
    names = [f"{number}.jpg" for number in range(IMAGES)]
    manifest = pd.DataFrame({"image_id": names, "path": names, "height": PIXELS, "width": PIXELS})
    build_store(manifest, folder, SIZE, folder / "store.npy", 2, Quarantine("benchmark"))
    store = ImageStore.open(folder / "store.npy", folder / "store.parquet")

    def ours() -> float:
        return float(sum(np.array(store.images[row : row + 16]).mean() for row in range(0, IMAGES, 16)))

    def reference() -> float:
        return float(sum(_decoded(folder / name).mean() for name in names))

    return Comparison("epoch over the image store / decoding each file", ours, reference, goal=50)


def _decoded(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((SIZE, SIZE)))


def _lookup() -> Comparison:
    """Find the image of each study: in an index, and by scanning all paths for `/s<study>/`."""
    paths = [f"files/p1{n % 10}/p{n // 4:08d}/s{n // 2:08d}/{n:08d}.jpg" for n in range(PATHS)]
    studies = [f"{study:08d}" for study in np.random.default_rng(0).integers(PATHS // 2, size=LOOKUPS)]

    def ours() -> list[str]:
        index = {path.split("/")[3][1:]: path for path in reversed(paths)}
        return [index[study] for study in studies]

    def reference() -> list[str]:
        return [next(path for path in paths if f"/s{study}/" in path) for study in studies]

    assert ours() == reference()
    return Comparison(f"{LOOKUPS} studies among {PATHS:,} paths: index / scan", ours, reference, goal=5)
