"""Which slices are key slices, where their lesions are, and what the rows of DeepLesion's table count.

CLEAR reads tables derived from DL_info.csv: one of boxes (File_name, Bounding_boxes as "x1,y1,x2,y2" in pixels) and one
of presence (image, lesion_present, patient_id). Its code searched the first again for every slice of every epoch; here
boxes are arrays with an index that is built once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.adapters.raw import read_table
from cxrflow.cohort.tables import SPLITS
from cxrflow.errors import UserError
from cxrflow.files import write_table

BOX_COLUMNS = ("File_name", "Bounding_boxes")
PRESENCE_COLUMNS = ("image", "lesion_present", "patient_id")
CORNERS = 4
ALL = "all"

Boxes = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class LesionTable:
    """The boxes (B, 4: x1, y1, x2, y2 in pixels of the original image) of key slices, sorted by image.

    Those of the slice `images[k]` are `boxes[starts[k] : starts[k + 1]]`.
    """

    images: tuple[str, ...]
    boxes: Boxes
    starts: Rows

    @classmethod
    def of(cls, names: Sequence[str], boxes: Boxes) -> "LesionTable":
        """Return the table of boxes (B, 4) and the image of each; those of an image keep their order."""
        order = np.argsort(np.asarray(names, dtype=object), kind="stable")
        images, counts = np.unique(np.asarray(names, dtype=object), return_counts=True)
        return cls(tuple(images.tolist()), boxes[order], np.concatenate([[0], counts.cumsum()]).astype(np.int64))

    def key_slices(self, images: Sequence[str]) -> Rows:
        """Return the number of each image among the key slices, -1 where it is none."""
        return np.asarray(self._places.get_indexer(pd.Index(images)), dtype=np.int64)

    def boxes_of(self, image: str) -> Boxes:
        """Return the boxes (n, 4) of one image; none where it is no key slice."""
        place = int(self.key_slices([image])[0])
        return self.boxes[self.starts[place] : self.starts[place + 1]] if place >= 0 else self.boxes[:0]

    def draw(self, key_slices: Rows, rng: np.random.Generator) -> Boxes:
        """Return one box (N, 4) of each key slice (by number, none negative), every one of its boxes as likely."""
        counts = self.starts[key_slices + 1] - self.starts[key_slices]
        return self.boxes[self.starts[key_slices] + rng.integers(0, counts)]

    @cached_property
    def _places(self) -> pd.Index:
        return pd.Index(self.images)


def lesion_table(manifest: pd.DataFrame) -> LesionTable:
    """Return the boxes of a manifest (columns image_id, boxes)."""
    key = manifest[manifest["boxes"].notna()]
    sides = [
        (image, box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"])
        for image, boxes in zip(key["image_id"], key["boxes"], strict=True)
        for box in boxes
    ]
    return LesionTable.of([image for image, *_ in sides], _corners([corners for _, *corners in sides]))


def write_boxes(path: Path, table: LesionTable) -> None:
    """Write the table of boxes: one row per box."""
    names = np.repeat(np.array(table.images, dtype=object), np.diff(table.starts))
    written = [",".join(f"{value:.7g}" for value in box) for box in table.boxes.tolist()]
    write_table(path, pd.DataFrame({"File_name": names, "Bounding_boxes": written}, columns=list(BOX_COLUMNS)))


def read_boxes(path: Path) -> LesionTable:
    """Read a table of boxes; raise UserError where a row is not a name and four numbers in order."""
    table = read_table(path, list(BOX_COLUMNS))
    parts = table["Bounding_boxes"].str.split(",", n=CORNERS, expand=True).reindex(columns=range(CORNERS + 1))
    corners = parts[list(range(CORNERS))].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    good = np.isfinite(corners).all(axis=1) & parts[CORNERS].isna().to_numpy() & table["File_name"].notna().to_numpy()
    good &= (corners[:, :2] < corners[:, 2:]).all(axis=1)
    _require_good(path, good, 'Bounding_boxes are "x1,y1,x2,y2" in pixels, with x1 < x2 and y1 < y2.')
    return LesionTable.of(table["File_name"].tolist(), _corners(corners.tolist()))


def presence_table(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return one row per slice of a manifest: image, lesion_present (1 on key slices, else 0), patient_id.

    0 means that nobody marked a lesion there; a slice beside a key slice may well show the same lesion.
    """
    present = manifest["boxes"].notna().astype(int)
    columns = {"image": manifest["image_id"], "lesion_present": present, "patient_id": manifest["patient_id"]}
    return pd.DataFrame(columns, columns=list(PRESENCE_COLUMNS))


def write_presence(path: Path, manifest: pd.DataFrame) -> None:
    """Write the table of presence of a manifest."""
    write_table(path, presence_table(manifest))


def read_presence(path: Path) -> pd.DataFrame:
    """Read a table of presence; raise UserError where a row lacks a cell, repeats an image, or is neither 0 nor 1."""
    table = read_table(path, list(PRESENCE_COLUMNS))[list(PRESENCE_COLUMNS)]
    good = table["lesion_present"].isin(["0", "1"]) & table.notna().all(axis="columns") & ~table["image"].duplicated()
    _require_good(path, good.to_numpy(), "lesion_present is 0 or 1, and each image has one row.")
    return table.astype({"lesion_present": int})


def row_counts(manifest: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """Return what the rows of DL_info.csv count, tidily: attribute, level, split (train, validate, test, all), count.

    Its rows are boxes, not slices: `boxes` (level all, or a type); `slices` (all, key, with several boxes, context);
    `patients` and `studies` (all, with a key slice).
    """
    images = manifest[["image_id", "patient_id", "study_id", "boxes"]].merge(
        split[["image_id", "split"]], on="image_id", validate="one_to_one"
    )
    parts = {name: images[images["split"] == name] for name in SPLITS} | {ALL: images}
    rows = [(*what, name, count) for name, part in parts.items() for what, count in _counts(part).items()]
    return pd.DataFrame(rows, columns=["attribute", "level", "split", "count"])


def _counts(images: pd.DataFrame) -> dict[tuple[str, str], int]:
    key = images[images["boxes"].notna()]
    per_slice = key["boxes"].map(len)
    types = pd.Series([box["label"] for boxes in key["boxes"] for box in boxes], dtype=object).value_counts()
    return {
        ("boxes", ALL): int(per_slice.sum()),
        **{("boxes", str(name)): int(count) for name, count in types.sort_index().items()},
        ("slices", ALL): len(images),
        ("slices", "key"): len(key),
        ("slices", "with several boxes"): int(per_slice.gt(1).sum()),
        ("slices", "context"): len(images) - len(key),
        ("patients", ALL): images["patient_id"].nunique(),
        ("patients", "with a key slice"): key["patient_id"].nunique(),
        ("studies", ALL): images["study_id"].nunique(),
        ("studies", "with a key slice"): key["study_id"].nunique(),
    }


def _corners(values: Sequence[Sequence[float]]) -> Boxes:
    return np.array(values, dtype=np.float32).reshape(-1, CORNERS)


def _require_good(path: Path, good: NDArray[np.bool_], hint: str) -> None:
    if not good.all():
        raise UserError(f"{int((~good).sum())} rows of {path} can't be used, first in line {good.argmin() + 2}.", hint)
