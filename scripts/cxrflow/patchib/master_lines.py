"""The lines of the data set of `patchib`: what each holds, and how a file of them is read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError

from cxrflow.errors import UserError

COLUMNS = ("dicom_id", "subject_id", "study_id", "split", "query", "image_path", "labels")
_AGAIN = "delete the file and run again; a broken line is one that was edited or cut off."


@dataclass(frozen=True)
class MasterRecord:
    """One radiograph: a line of the file."""

    split: Literal["train", "validate", "test"]
    query: Annotated[str, Field(min_length=1)]
    """Text of its study's report."""
    image_path: str
    """Relative to the cohort's root."""
    labels: list[Literal[0, 1] | None]
    """In the order of `label_order`; null where it is ignored."""
    subject_id: str
    study_id: str
    dicom_id: str
    """The image's id in the manifest and the image store."""


_LINE = TypeAdapter(MasterRecord)


def read_master(path: Path) -> pd.DataFrame:
    """Return the columns dicom_id, subject_id, study_id, split, query, image_path, labels, one row per line.

    `labels` holds a float32 array (as many as there are labels) in each row: 1, 0, or NaN where ignored. Raises
    UserError, which names the first bad line, where a line is no such record, has another number of labels than the
    first, or is of an image that was there before.
    """
    records = list(_records(path))
    if not records:
        raise UserError(f"{path} has no line.", _AGAIN)
    table = pd.DataFrame({name: [getattr(record, name) for record in records] for name in COLUMNS})
    count = len(records[0].labels)
    other = np.array([len(record.labels) != count for record in records])
    _require_none(path, other, f"there are not {count} labels, as in line 1")
    _require_none(path, table["dicom_id"].duplicated().to_numpy(), "the image has a line already")
    table["labels"] = list(np.array([record.labels for record in records], dtype=np.float32))
    return table


def _records(path: Path) -> Iterator[MasterRecord]:
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield _LINE.validate_json(line)
                except ValidationError as error:
                    raise _broken(path, number, _reason(error)) from None
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.", "run the workflow, which makes it.") from None


def _reason(error: ValidationError) -> str:
    """Return what is wrong with a line, in words that hold nothing of it."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else "it is not a whole JSON object"


def _require_none(path: Path, bad: np.ndarray, reason: str) -> None:
    if bad.any():
        raise _broken(path, int(bad.argmax()) + 1, reason)


def _broken(path: Path, number: int, reason: str) -> UserError:
    return UserError(f"{path}, line {number}: {reason}.", _AGAIN)
