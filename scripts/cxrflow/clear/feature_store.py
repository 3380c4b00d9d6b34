"""All features of one encoder in one array, patient after patient: what aggregators are trained on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrflow.errors import UserError
from cxrflow.files import atomic_array, write_arrays
from cxrflow.ragged import offsets, owners

Places = NDArray[np.int64]


@dataclass(frozen=True)
class PatientFeatures:
    """Features (n, d) float32 of a patient's slices in order, and the ids of these and of their studies."""

    features: NDArray[np.float32]
    images: list[str]
    studies: list[str]


@dataclass(frozen=True)
class FeatureStore:
    """Features (N, d) float16 of all slices; those of patient k are rows `offsets[k]` to `offsets[k + 1]`.

    A patient's studies follow each other, and the slices of each are in order. `patients` (P,) and the `images` and
    `studies` (N,) of slices are ids, `encoder` is the SHA-256 of what made the features.
    """

    features: NDArray[np.float16]
    offsets: Places
    patients: NDArray[np.str_]
    images: NDArray[np.str_]
    studies: NDArray[np.str_]
    encoder: str

    @classmethod
    def open(cls, features: Path, index: Path) -> "FeatureStore":
        """Open a store without reading its features."""
        with np.load(index, allow_pickle=False) as arrays:
            named = {name: arrays[name] for name in ("offsets", "patients", "images", "studies")}
            return cls(np.load(features, mmap_mode="r", allow_pickle=False), **named, encoder=str(arrays["encoder"]))

    @property
    def width(self) -> int:
        """Width d of the features."""
        return int(self.features.shape[1])

    def bags(self, names: Iterable[str]) -> tuple[Places, Places]:
        """Return the first row and the number of rows of each bag: of a patient, or of a study, by its id."""
        found = [self._ranges.get(name) for name in names]
        if None in found:
            raise UserError(
                f"{found.count(None)} of {len(found)} patients or studies have no features.",
                "They belong to another cohort, or none of their slices could be decoded: see the quarantine table.",
            )
        rows = np.array(found, dtype=np.int64).reshape(-1, 2)
        return rows[:, 0], rows[:, 1] - rows[:, 0]

    @cached_property
    def _ranges(self) -> dict[str, tuple[int, int]]:
        """Return first row and end by patient or study; a patient's own id comes before a study's of the same name."""
        patient = owners(self.offsets)
        change = (self.studies[1:] != self.studies[:-1]) | (patient[1:] != patient[:-1])
        starts = np.flatnonzero(np.r_[len(self.studies) > 0, change])
        ends = np.r_[starts[1:], len(self.studies)]
        studies = zip(self.studies[starts].tolist(), zip(starts.tolist(), ends.tolist(), strict=True), strict=True)
        bounds = zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True)
        return dict(studies) | dict(zip(self.patients.tolist(), bounds, strict=True))


def write_store(
    features: Path, index: Path, patients: Sequence[str], found: Iterable[PatientFeatures], sizes: Sequence[int],
    width: int, encoder: str,
) -> None:  # fmt: skip
    """Write a store of patients, whose features come one after the other with `sizes` slices each."""
    places = offsets(sizes)
    images: list[str] = []
    studies: list[str] = []
    with atomic_array(features, np.float16, (int(places[-1]), width)) as array:
        for number, part in enumerate(found):
            array[places[number] : places[number + 1]] = _half(part.features)
            images += part.images
            studies += part.studies
    texts = {"patients": list(patients), "images": images, "studies": studies}
    arrays = {"offsets": places, **{name: np.array(text, dtype="U") for name, text in texts.items()}}
    write_arrays(index, [*arrays.items(), ("encoder", np.array(encoder))])


def _half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return values as float16; raise UserError where one does not fit."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise UserError(
            f"Features reach {np.abs(values).max():.3g}, and half precision ends at 65,504.",
            "Are the encoder's weights whole, and are they those of this architecture?",
        )
    return half
