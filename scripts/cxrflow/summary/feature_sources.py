"""Where the features of encoders lie, and how they are read: one vector per image, whichever system made them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LEARNT_AND_TESTED = ("train", "test")
"""The splits whose images have features of every encoder."""
IMAGES = "image_id"


@dataclass(frozen=True)
class Name:
    """An encoder as the leaderboard calls it: its system, the cohort that it was trained on, its own name."""

    system: str
    trained_on: str
    encoder: str


@dataclass(frozen=True)
class Features:
    """Features of one encoder with one seed, of these images, and what reads all of them (N, D).

    `on_disk` is the bytes that are stored of an image, where these are not the features alone.
    """

    name: Name
    images: pd.Index
    load: Callable[[], NDArray]
    on_disk: float | None = None

    def read(self, images: Sequence[str]) -> NDArray[np.float32]:
        """Return features (n, D) of some of the images."""
        return self.load()[self.images.get_indexer(pd.Index(images))].astype(np.float32)

    def bytes_per_image(self) -> float:
        """Return what is stored of an image."""
        if self.on_disk is not None:
            return self.on_disk
        values = self.load()
        return float(values.shape[1] * values.itemsize)


@dataclass(frozen=True)
class PatchibExport:
    """The file of arrays of a model of patchib, with its seeds."""

    model: str
    seeds: Sequence[int]
    file: Path


def embedded(system: str, trained_on: str, file: Path) -> Iterator[Features]:
    """Yield the features of every encoder and seed in a file of `embed`."""
    with np.load(file, allow_pickle=False) as arrays:
        images, names = pd.Index(arrays[IMAGES]), [name for name in arrays.files if name != IMAGES]
    for name in names:
        yield Features(Name(system, trained_on, name.rpartition("/")[0]), images, partial(_array, file, name))


def of_patchib(cohort: str, exports: Sequence[PatchibExport], master: Path) -> Iterator[Features]:
    """Yield embeddings of models of patchib: `C` is the model's own (through its mask), `C, full` of all patches."""
    from cxrflow.patchib.exported import Exported
    from cxrflow.patchib.master_lines import read_master

    table = read_master(master)
    images = pd.Index(np.concatenate([table.loc[table["split"] == split, "dicom_id"] for split in LEARNT_AND_TESTED]))
    for export in exports:
        for one in (Exported(export.model, seed, export.file) for seed in export.seeds):
            for kind in [kind for kind in one.embeddings() if kind in ("own", "full")]:
                encoder = export.model if kind == "own" else f"{export.model}, {kind}"
                yield Features(Name("patchib", cohort, encoder), images, partial(_exported, one.read, kind))


def of_asset(cohort: str, file: Path) -> Features:
    """Return what is left of radiographs in a compressed asset of neural: its kept patches, pooled."""
    from cxrflow.neural.asset import load_asset

    asset = load_asset(file)
    name = Name("neural", cohort, f"{asset.kept_percent:g} % of patches")
    return Features(name, pd.Index(asset.image_id), asset.pooled, file.stat().st_size / len(asset.image_id))


def of_clear(cohort: str, encoder: str, features: Path, index: Path) -> Features:
    """Return the features of slices of one encoder of clear."""
    from cxrflow.clear.feature_store import FeatureStore

    store = FeatureStore.open(features, index)
    return Features(Name("clear", cohort, encoder), pd.Index(store.images), lambda: store.features)


def _array(file: Path, name: str) -> NDArray:
    with np.load(file, allow_pickle=False) as arrays:
        return arrays[name]


def _exported(read: Callable[[str], NDArray], kind: str) -> NDArray:
    return np.concatenate([read(f"{split}/image/{kind}") for split in LEARNT_AND_TESTED])
