"""Reads the csv of a task: `image` is the id of a patient or of a study, the other columns are labels or a class."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cxrflow.errors import UserError

IMAGE = "image"
NO_LABELS = ("all",)
"""Columns that tables of CLEAR carry beside the labels."""
_VALUES = {"1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
_HINT = (
    "Write a column `image` with the id of each patient or study once, then for a multi-label task a column per label "
    "of 1, 0 or nothing (not known), for other tasks one column of classes."
)


def read_labels(file: Path, labels: Sequence[str] | None) -> pd.DataFrame:
    """Return the labels (1, 0 or NaN) by image, all columns or those that are named."""
    table = _read(file)
    chosen = _columns(file, table, labels)
    cells = table[chosen].apply(lambda column: column.str.strip())
    values = cells.apply(lambda column: column.map(_VALUES))
    _require_good(file, (values.notna() | cells.isna()).all(axis="columns"), "hold something but 1, 0 and nothing")
    return values.astype(float)


def read_classes(file: Path, labels: Sequence[str] | None, classes: Sequence[str] | None) -> pd.Series:
    """Return the class of each image as a categorical; images without one are left out.

    The classes are those given, in this order, or all that occur, sorted (as numbers where all are).
    """
    table = _read(file)
    chosen = _columns(file, table, labels)
    if len(chosen) != 1:
        raise UserError(
            f"{file} has the columns {chosen}, expected one column of classes.",
            "Say in the task's `labels` which column it is.",
        )
    told = table[chosen[0]].str.strip()
    names = list(classes) if classes is not None else _sorted(told.dropna().unique().tolist())
    _require_good(file, told.isin(names) | told.isna(), f"hold another class than {names}")
    if len(names) < 2:
        raise UserError(f"{file} has {len(names)} classes, and a task needs two.", _HINT)
    return told.dropna().astype(pd.CategoricalDtype(names, ordered=True))


def _read(file: Path) -> pd.DataFrame:
    """Return the table as text by image."""
    try:
        table = pd.read_csv(file, dtype="str", skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise UserError(f"The task's table {file} can't be read: {error}", _HINT) from None
    if IMAGE not in table or table.empty:
        raise UserError(f"{file} has {len(table)} rows and the columns {list(table)}, expected `{IMAGE}`.", _HINT)
    images = table[IMAGE].str.strip()
    table = table.assign(image=images)
    _require_good(file, images.notna() & ~images.duplicated(), "name no image, or one that was there before")
    return table.set_index(IMAGE)


def _columns(file: Path, table: pd.DataFrame, labels: Sequence[str] | None) -> list[str]:
    chosen = list(labels) if labels is not None else [str(name) for name in table if name not in NO_LABELS]
    absent = [name for name in chosen if name not in table]
    if absent or not chosen:
        raise UserError(f"{file} has no columns {absent or 'of labels'}; it has {list(table)}.", _HINT)
    return chosen


def _require_good(file: Path, good: pd.Series, what: str) -> None:
    """Raise UserError with the line of the first bad row; ids are not told: the table may be of credentialed data."""
    if not good.all():
        first = int(good.to_numpy().argmin()) + 2
        raise UserError(f"{int((~good).sum())} rows of {file} {what}, first in line {first}.", _HINT)


def _sorted(names: list[str]) -> list[str]:
    numbers = pd.to_numeric(pd.Series(names), errors="coerce")
    return [name for _, name in sorted(zip(numbers, names, strict=True))] if numbers.notna().all() else sorted(names)
