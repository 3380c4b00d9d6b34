"""What every adapter hands over, and the few ways to read a raw table and to refuse its rows."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.tables import LABEL_VALUES
from cxrflow.errors import UserError

LONGEST_SIDE = 1_000_000  # pixels, far above any radiograph
SMALL_BYTES, MAXIMUM_RATIO = 100_000_000, 100
_EDITED = "is this the original, unedited file?"
_AGAIN = "download it again and compare its checksum."


@dataclass(frozen=True)
class Source:
    """Where the raw files of a cohort are."""

    root: Path
    """Folder of the images; the manifest's paths are relative to it."""
    tables: Path
    """Folder of the csv tables; the root unless the configuration names another one."""
    reports: Path | None = None
    """Folder or archive of the reports, where the data set keeps them apart from its tables."""
    boxes: Path | None = None
    """Table of annotated boxes in MS-CXR's columns."""
    long_tail: Path | None = None
    """Folder of the label files of NIH-CXR-LT or MIMIC-CXR-LT, which replace the data set's own labels and split."""


class SectionedReport(NamedTuple):
    """One report: its sections (name -> text), or None and the `problem` for which it is refused."""

    study_id: str
    patient_id: str
    file: str
    sections: dict[str, str] | None
    problem: str = ""


Box = dict[str, Any]
"""One annotated box: label, x, y, w, h."""
ReportReader = Callable[[pd.DataFrame], Iterator[SectionedReport]]
"""Studies (columns study_id, patient_id) -> their reports; a study that may lack a report yields nothing."""


@dataclass(frozen=True)
class RawCohort:
    """What an adapter reads.

    `images` has a row per image: image_id, patient_id, study_id, path, view, sex, age, official_split and one column
    per label; height and width where a table tells them (else they are read from the files); boxes where there are
    any. `table` is the file that quarantine rows name. `rows` counts the input rows, refused ones included. `box_side`:
    the boxes are in pixels of a square copy of this side, whatever size the files have (none: in the files' pixels).
    """

    images: pd.DataFrame
    labels: tuple[str, ...]
    table: str
    rows: int
    reports: ReportReader | None = None
    box_side: int | None = None


def read_table(path: Path, columns: list[str], **options: Any) -> pd.DataFrame:
    """Read a csv as strings.

    Raises UserError where it can't be read, or one of `columns` is absent or there twice, or its rows are longer than
    its header (pandas would take their first cells for an index).
    """
    try:
        _require_bounded(path)
        table = pd.read_csv(path, dtype=str, **options)
    except FileNotFoundError:
        raise UserError(
            f"The table {path} is missing.", "name the folder that holds the data set's tables under its own names."
        ) from None
    except (
        EOFError,
        OSError,
        UnicodeDecodeError,
        zlib.error,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
    ) as error:
        raise UserError(f"The table {path} can't be read: {error}.", _AGAIN) from None
    absent = [column for column in columns if column not in table]
    twice = [column for column in columns if f"{column}.1" in table]  # as pandas renames the second one
    if absent or twice:
        problem = f"lacks {absent}; its header is {list(table)}" if absent else f"names {twice} twice"
        raise UserError(f"The table {path} {problem}.", _EDITED)
    if not isinstance(table.index, pd.RangeIndex):
        raise UserError(f"The rows of the table {path} have more cells than the header.", _EDITED)
    return table


def _require_bounded(path: Path) -> None:
    """Raise UserError where a gzip holds more than 100 MB and more than 100 times what it weighs; tables have 10."""
    if path.suffix != ".gz":
        return
    limit = max(SMALL_BYTES, MAXIMUM_RATIO * path.stat().st_size)
    with gzip.open(path) as stream:
        read = 0
        while chunk := stream.read(1 << 20):
            read += len(chunk)
            if read > limit:
                raise UserError(f"The table {path} inflates to more than {limit:,} bytes.", _AGAIN)


def refuse(table: pd.DataFrame, bad: pd.Series, key: str, file: str, reason: str, refused: Quarantine) -> pd.DataFrame:
    """Return the rows that are not `bad`; the others go to `refused` by their `key`."""
    refused.add_rows(file, table.loc[bad, key], reason)
    return table[~bad].reset_index(drop=True)


def with_label_values(
    table: pd.DataFrame, labels: tuple[str, ...], key: str, file: str, refused: Quarantine
) -> pd.DataFrame:
    """Return the table with its labels as floats (1, 0, -1 or NaN); rows with any other value are refused."""
    names = list(labels)
    values = table[names].apply(pd.to_numeric, errors="coerce")
    known = (values.isin(LABEL_VALUES) | table[names].isna()).all(axis="columns")
    return refuse(table.assign(**values), ~known, key, file, "a label is not 1, 0, -1 or empty", refused)


def read_boxes(path: Path | None, refused: Quarantine) -> dict[str, list[Box]]:
    """Return the boxes of each image from a table in MS-CXR's columns (pixels of the original image)."""
    if path is None:
        return {}
    table = read_table(path, ["dicom_id", "category_name", "x", "y", "w", "h"])
    table = table.rename(columns={"dicom_id": "image_id", "category_name": "label"})
    table, bad = with_sides(table)
    reason = "a box has a side that is no number, or no area"
    return boxes_by_image(refuse(table, bad, "image_id", path.name, reason, refused))


def with_sides(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Return the table with x, y, w and h as numbers, and which of its boxes have none, or no area."""
    numbers = table[list("xywh")].apply(pd.to_numeric, errors="coerce").astype(float)
    sound = numbers.abs().le(LONGEST_SIDE).all(axis="columns") & numbers[["w", "h"]].gt(0).all(axis="columns")
    return table.assign(**{side: numbers[side] for side in "xywh"}), ~sound


def boxes_by_image(table: pd.DataFrame) -> dict[str, list[Box]]:
    """Group boxes (columns image_id, label, x, y, w, h) by image; repeated ones count once."""
    table = table.drop_duplicates(["image_id", "label", *"xywh"])
    boxes: dict[str, list[Box]] = {}
    for image, label, *sides in table[["image_id", "label", *"xywh"]].itertuples(index=False):
        boxes.setdefault(image, []).append({"label": label, **dict(zip("xywh", sides, strict=True))})
    return boxes


def box_column(image_ids: pd.Series, boxes: dict[str, list[Box]]) -> pd.Series:
    """Return the boxes of each image, None where there are none."""
    return pd.Series([boxes.get(image) for image in image_ids], index=image_ids.index, dtype=object)


def with_scaled_boxes(images: pd.DataFrame, side: int) -> pd.DataFrame:
    """Return the images with their boxes, given in pixels of a copy of `side` x `side`, in pixels of the images."""
    scaled = [
        [_scaled(box, width / side, height / side) for box in boxes] if boxes else None
        for boxes, height, width in zip(images["boxes"], images["height"], images["width"], strict=True)
    ]
    return images.assign(boxes=pd.Series(scaled, index=images.index, dtype=object))


def _scaled(box: Box, across: float, down: float) -> Box:
    return {**box, "x": box["x"] * across, "y": box["y"] * down, "w": box["w"] * across, "h": box["h"] * down}
