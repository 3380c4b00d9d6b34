"""The label files of NIH-CXR-LT and MIMIC-CXR-LT (Holste et al., MICCAI 2023): 20 and 19 classes, three parts.

Where they are given, they stand in for the labels and the official split that the data set itself has. A mistake in
them is an error and not a matter of quarantine: they were cleaned before they were published, and models that are
compared must be tested on the same images. Errors give counts alone, for images are named after patients.
"""

import logging
from pathlib import Path

import pandas as pd

from cxrflow.cohort.adapters.raw import read_table
from cxrflow.cohort.long_tail import CLASSES, NO_FINDING, PARTS, LongTail, label_file
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.errors import UserError

logger = logging.getLogger(__name__)

_IMAGE_COLUMN: dict[LongTail, str] = {"nih-cxr-lt": "id", "mimic-cxr-lt": "path"}
_PATIENT_COLUMNS = ("subj_id", "subject_id")
_NO_DISEASE = (NO_FINDING, "Support Devices")  # the labelers call a chest with devices and no disease No Finding
_HINT = "take the three files as they were published, all of one release."


def with_long_tail_labels(
    images: pd.DataFrame, labels: LongTail, folder: Path, table: str, refused: Quarantine
) -> pd.DataFrame:
    """Return the images that the label files in `folder` name, with their classes (1.0 or 0.0) and official_split.

    Images of the raw table that no label file names are left out: a choice of the label set, counted in the log. A view
    that the raw table does not tell is FRONTAL, for the sets hold no lateral ones. `table` names the raw table; images
    whose rows there were refused count as known. Raises UserError as `read_label_files` does, and where an image is not
    in the raw table, belongs to another patient there, or shares its patient with another split.
    """
    published = read_label_files(folder, labels)
    known = {*images["image_id"], *(row for file, row, _, _ in refused.rows if file == table)}
    _require_none(
        published[[image not in known for image in published["image_id"]]],
        f"that the raw table {table} does not have",
        "the raw table must be the whole, published one; a copy cut to some images needs label files cut alike.",
    )
    labelled = images.merge(published, on="image_id")
    told = labelled["patient"].notna()
    _require_none(
        labelled[told & (labelled["patient"] != _without_zeros(labelled["patient_id"]))],
        f"whose patient (columns {' or '.join(_PATIENT_COLUMNS)}) is another one in the raw table {table}",
        _HINT,
    )
    _require_disjoint(labelled, "patient_id", f"the raw table {table}")
    logger.info("%d of %d images are in no label file: they are left out", len(images) - len(labelled), len(images))
    return labelled.drop(columns=["patient", "file"]).assign(view=labelled["view"].replace("UNKNOWN", "FRONTAL"))


def read_label_files(folder: Path, labels: LongTail) -> pd.DataFrame:
    """Return image_id, patient (null where untold), file, official_split and the classes in their published order.

    Columns are found by name. Raises UserError where a file or a class is absent, a value is not 0 or 1, an image is
    named twice, or a patient is in two splits by the files' own column of patients.
    """
    published = pd.concat([_part(label_file(folder, labels, part), labels, part) for part in PARTS], ignore_index=True)
    twice = published[published["image_id"].duplicated(keep=False)]
    _require_none(twice, "that are named more than once", _HINT)
    _require_disjoint(published.dropna(subset=["patient"]), "patient", "the files' own column of patients")
    disease = published[[name for name in CLASSES[labels] if name not in _NO_DISEASE]].eq(1).any(axis="columns")
    contradictory = int((published[NO_FINDING].eq(1) & disease).sum())
    if contradictory:
        logger.warning("%d of %d images have %s and a disease", contradictory, len(published), NO_FINDING)
    return published


def _part(path: Path, labels: LongTail, part: str) -> pd.DataFrame:
    column, classes = _IMAGE_COLUMN[labels], list(CLASSES[labels])
    table = read_table(path, [column, *classes])
    if table.empty:
        raise UserError(f"The label file {path} has no rows.", _HINT)
    about = pd.DataFrame(
        {
            "image_id": _image_ids(table[column], path),
            "patient": _patients(table),
            "file": path.name,
            "official_split": PARTS[part],
        }
    )
    return pd.concat([about, _values(table[classes], path)], axis="columns")


def _image_ids(written: pd.Series, path: Path) -> pd.Series:
    """Return NIH's file names as they are, and the stems of MIMIC-CXR's paths."""
    ids = written if written.name == "id" else written.str.extract(r"([^/]+)\.[^./]+$", expand=False)
    nameless = int(ids.isna().sum())
    if nameless:
        raise UserError(
            f"{nameless} of {len(ids)} rows of {path} name no image file in the column `{written.name}`.", _HINT
        )
    return ids


def _patients(table: pd.DataFrame) -> pd.Series:
    column = next((table[name] for name in _PATIENT_COLUMNS if name in table), None)
    if column is None:
        return pd.Series(None, index=table.index, dtype="str")
    return _without_zeros(column)


def _without_zeros(patients: pd.Series) -> pd.Series:
    """Return the numbers of patients as plain digits: the same one is written 00000012, 12 or 12.0."""
    return patients.str.replace(r"\.0$", "", regex=True).str.lstrip("0")


def _values(written: pd.DataFrame, path: Path) -> pd.DataFrame:
    values = written.apply(_numbers)
    bad = (~values.isin([0, 1])).sum()
    if bad.any():
        raise UserError(
            f"The label file {path} has values other than 0 and 1; how many, by column: {bad[bad > 0].to_dict()}.",
            _HINT,
        )
    return values.astype("float32")


def _numbers(written: pd.Series) -> pd.Series:
    """Return a column as numbers, NaN where it has none; each distinct value is converted once, for there are two."""
    distinct = pd.Series(written.dropna().unique(), dtype="str")
    return written.map(dict(zip(distinct, pd.to_numeric(distinct, errors="coerce"), strict=True)))


def _require_none(rows: pd.DataFrame, what: str, hint: str) -> None:
    if len(rows):
        files = " and ".join(rows["file"].drop_duplicates())
        raise UserError(f"Images in {files} {what}: {rows['image_id'].nunique()}.", hint)


def _require_disjoint(rows: pd.DataFrame, patient: str, authority: str) -> None:
    crossing = rows[rows.groupby(patient)["official_split"].transform("nunique") > 1]
    if len(crossing):
        files = " and ".join(crossing["file"].drop_duplicates())
        raise UserError(
            f"Patients in more than one of {files}, by {authority}: {crossing[patient].nunique()}.",
            "models would be tested on patients that they learned from: " + _HINT,
        )
