"""Reads the exports of trained models, array by array."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.metrics import patient_draws
from cxrflow.patchib.master_lines import read_master

BOXED_SPLITS = ("validate", "test")
"""Splits whose boxed radiographs have heat maps: nothing was fitted to their boxes."""
GREY_VALUES, AND_PLACE = "grey values", "grey values and place"
CHANGES = (GREY_VALUES, AND_PLACE)
"""How test radiographs are changed to see whether masks stay the same."""
REFERENCE = "A"
"""The model that others are compared with, where it was trained; else the first."""


@dataclass(frozen=True)
class Exported:
    """The export (patchib/export.py) of one model with one seed."""

    model: str
    seed: int
    file: Path

    def read(self, name: str) -> NDArray:
        """Return one array."""
        with np.load(self.file, allow_pickle=False) as arrays:
            return arrays[f"{self.seed}/{name}"]

    @cached_property
    def names(self) -> list[str]:
        """The arrays' names."""
        start = f"{self.seed}/"
        with np.load(self.file, allow_pickle=False) as arrays:
            return [name.removeprefix(start) for name in arrays.files if name.startswith(start)]

    def embeddings(self) -> list[str]:
        """Return which image embeddings there are."""
        return [name.removeprefix("test/image/") for name in self.names if name.startswith("test/image/")]

    def has_masks(self) -> bool:
        """Return whether the model selects patches."""
        return any(name.startswith("share/") for name in self.names)


def by_model(exports: Sequence[Exported]) -> Mapping[str, list[Exported]]:
    """Return the exports of each model, seed by seed, in the order given."""
    found: dict[str, list[Exported]] = {}
    for export in exports:
        found.setdefault(export.model, []).append(export)
    return found


def reference_of(models: Iterable[str]) -> str:
    """Return the name of the model that others are compared with."""
    names = list(models)
    return REFERENCE if REFERENCE in names else names[0]


@dataclass(frozen=True)
class TestSet:
    """The test split: rows of the data set, and how often each patient is in each resample.

    `patient` (N,) is the row of each radiograph in `drawn` (patients, R); `weights` (R, N) says it per radiograph.
    """

    rows: pd.DataFrame
    labels: list[str]
    patient: NDArray[np.intp]
    drawn: NDArray[np.float32]

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """How often each radiograph is in each resample."""
        return np.ascontiguousarray(self.drawn[self.patient].T)

    @cached_property
    def truth(self) -> NDArray[np.float32]:
        """Labels (N, C): 1, 0, or NaN where ignored."""
        return np.stack(self.rows["labels"].tolist())

    @cached_property
    def texts(self) -> NDArray[np.int64]:
        """The number of each radiograph's report text: the same for the same text."""
        return pd.factorize(self.rows["query"])[0].astype(np.int64)


def test_set(master: Path, labels: list[str], resamples: int, seed: int) -> tuple[TestSet, NDArray[np.float32]]:
    """Return the test split with its resamples, and the labels (N, C) of the train split."""
    table = read_master(master)
    rows = table[table["split"] == "test"].reset_index(drop=True)
    train = np.stack(table.loc[table["split"] == "train", "labels"].tolist())
    return TestSet(rows, labels, *patient_draws(rows["subject_id"], resamples, seed)), train
