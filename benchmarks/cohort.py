"""Image store against decoding in every epoch; study look-up at the size of MIMIC-CXR against a scan over all paths."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.timing import Comparison
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.store import ImageStore
from cxrflow.cohort.store_building import build_store

IMAGES, PIXELS, SIZE = 64, 2048, 224
PATHS, STUDIES, SCANNED = 377_110, 10_000, 20


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """Yield the comparisons of this room."""
    with tempfile.TemporaryDirectory() as folder:
        yield [_epoch(Path(folder)), *_lookups()]


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


def _lookups() -> list[Comparison]:
    """Find the images of studies: by the tables and the store's index, and by scanning all paths for `/s<study>/`.

    A scan for 10,000 studies takes minutes. So both sides find the same 20, in what they hold in memory; the second row
    is ours for all 10,000 from a store just opened, whose index is still to be built.
    """
    manifest = _manifest()
    paths = manifest["path"].tolist()
    index = manifest[["image_id"]].assign(row=np.arange(PATHS))
    chosen = np.random.default_rng(0).choice(manifest["study_id"].unique(), STUDIES, replace=False)
    held = _opened(index)

    def ours(store: ImageStore, studies: np.ndarray) -> np.ndarray:
        return store.rows(manifest.loc[manifest["study_id"].isin(studies), "image_id"])

    def reference() -> list[list[int]]:
        return [[row for row, path in enumerate(paths) if f"/s{study}/" in path] for study in chosen[:SCANNED]]

    assert ours(held, chosen[:SCANNED]).tolist() == sorted(row for rows in reference() for row in rows)
    among = f"studies among {PATHS:,} paths"
    return [
        Comparison(f"{SCANNED} {among}: tables / scan", lambda: ours(held, chosen[:SCANNED]), reference, goal=5),
        Comparison(
            f"{STUDIES:,} {among}, index built anew", lambda: ours(_opened(index), chosen), None, goal=float("nan")
        ),
    ]


def _opened(index: pd.DataFrame) -> ImageStore:
    return ImageStore(np.empty((len(index), 0, 0), dtype=np.uint8), index)


def _manifest() -> pd.DataFrame:
    """Ids and paths in MIMIC-CXR-JPG's layout: 227,835 studies of 65,379 patients."""
    image_of = "{0:08x}-6dc76a8b-1f5a2b11-0c58b07c-38bb1f1a".format
    rows = []
    for number in range(PATHS):
        study = number * 227_835 // PATHS
        patient = 10_000_000 + study * 65_379 // 227_835
        path = f"files/p{patient // 1_000_000}/p{patient}/s{50_000_000 + study}/{image_of(number)}.jpg"
        rows.append((image_of(number), str(50_000_000 + study), path))
    return pd.DataFrame(rows, columns=["image_id", "study_id", "path"])
