"""NIH ChestX-ray14 (Wang et al., CVPR 2017): one exhaustive table of findings, flat images, official lists, boxes."""

import logging
import os
import re
from pathlib import Path

import pandas as pd

from cxrflow.cohort.adapters.long_tail_labels import with_long_tail_labels
from cxrflow.cohort.adapters.raw import (
    Box,
    RawCohort,
    Source,
    box_column,
    boxes_by_image,
    read_table,
    refuse,
    with_sides,
)
from cxrflow.cohort.layouts import NIH_BOXES, NIH_TABLES, NIH_TEST_LISTS, NIH_TRAIN_LISTS, present
from cxrflow.cohort.long_tail import NIH_CLASSES
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.errors import UserError

logger = logging.getLogger(__name__)

NIH_LABELS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "No Finding", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
"""The 14 findings in their published spelling, and No Finding."""
SIDE = 1024
"""Height and width in pixels of every published PNG; the boxes are in these pixels, the files may have been resized."""
OLDEST = 120
_COLUMNS = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "View Position"]
_SEX = ("Patient Gender", "Patient Sex")  # which of the two depends on when the file was downloaded
_BOX_COLUMNS = {"Image Index": "image_id", "Finding Label": "label", "Bbox [x": "x", "y": "y", "w": "w", "h]": "h"}
_BOX_LABELS = {"Infiltrate": "Infiltration"}
_YEARS = {"Y": 1.0, "M": 1 / 12, "D": 1 / 365.25}


def read_nih(source: Source, settings: ReadingSettings, refused: Quarantine) -> RawCohort:
    """Read ChestX-ray14; every label is present or absent, for the table's findings are meant to be complete."""
    table = present(source.tables, NIH_TABLES)
    images, rows = read_entries(table, refused)
    labels: tuple[str, ...] = NIH_LABELS
    if source.long_tail is None:
        images = with_findings(images, table.name, refused)
        images = with_official_split(images, source.tables, table.name, refused)
    else:
        labels = tuple(NIH_CLASSES)
        images = images.drop(columns="findings")
        images = with_long_tail_labels(images, "nih-cxr-lt", source.long_tail, table.name, refused)
    boxes = read_box_list(source.tables / NIH_BOXES, set(images["image_id"]), labels, refused)
    ids = images["image_id"]
    images = images.assign(path=_paths(source.root, ids), boxes=box_column(ids, boxes))
    return RawCohort(images, labels, table.name, rows, box_side=SIDE)


def read_entries(path: Path, refused: Quarantine) -> tuple[pd.DataFrame, int]:
    """Return the rows of the table of findings that can be used, and the number of all its rows.

    Columns: image_id, patient_id (8 digits), study_id (patient and follow-up number), view, sex, age (years), and
    findings as they are written, joined by '|'. The header's brackets contain commas, and older files end each line
    with one: what follows the last known column is not used. Nor is OriginalImage, the size of the radiograph before it
    was made a PNG: with it, boxes would land in the wrong place.
    """
    table = read_table(path, _COLUMNS, index_col=False)
    rows = len(table)
    sex = next((name for name in _SEX if name in table), None)
    if sex is None:
        raise UserError(
            f"The table {path} has none of the columns {list(_SEX)}; its header is {list(table)}.",
            "is this the original, unedited file?",
        )
    table = _with_ids(table, path.name, refused)
    images = table[["image_id", "patient_id", "study_id"]].assign(
        view=table["View Position"].where(table["View Position"].isin(["PA", "AP"]), "UNKNOWN"),
        sex=table[sex].where(table[sex].isin(["M", "F"])),
        age=ages(table["Patient Age"]),
        findings=table["Finding Labels"],
    )
    return images, rows


def _with_ids(table: pd.DataFrame, file: str, refused: Quarantine) -> pd.DataFrame:
    """Add the ids; refuse rows whose image is named after another patient than the one they give."""
    named = table["Image Index"].str.extract(r"^(\d{8})_\d{3}\.png$", expand=False)
    patient = table["Patient ID"].str.zfill(8)
    study = table["Follow-up #"].str.zfill(3)
    bad = named.isna() | (named != patient) | ~study.str.fullmatch(r"\d{3,}").fillna(False)
    table = table.assign(image_id=table["Image Index"], patient_id=patient, study_id=patient + "_" + study)
    reason = "the image's name, the patient and the follow-up number do not belong together"
    return refuse(table, bad, "Image Index", file, reason, refused)


def with_findings(images: pd.DataFrame, file: str, refused: Quarantine) -> pd.DataFrame:
    """Put a column per label (1.0 or 0.0) in place of findings; refuse rows with unknown or contradictory findings."""
    values = {joined: label_values(joined) for joined in images["findings"].dropna().unique()}
    bad = ~images["findings"].isin([joined for joined, value in values.items() if value is not None])
    reason = "a finding is not one of the 15 labels, or contradicts them"
    good = refuse(images, bad, "image_id", file, reason, refused)
    rows = [values[joined] for joined in good.pop("findings")]
    return pd.concat([good, pd.DataFrame(rows, columns=list(NIH_LABELS), dtype="float32")], axis="columns")


def label_values(joined: str) -> list[float] | None:
    """Return 1.0 or 0.0 for each of NIH_LABELS from findings joined by '|'; None where they can't be so."""
    names = set(joined.split("|"))
    if not names <= set(NIH_LABELS) or ("No Finding" in names and len(names) > 1):
        return None
    return [float(label in names) for label in NIH_LABELS]


def ages(written: pd.Series) -> pd.Series:
    """Return ages in years from '58', '058Y', '011M' or '012D'; anything else, or above 120 years, becomes null.

    The first release of the table has ages such as 411: they are counted in the log, and the rows are kept.
    """
    parts = written.str.extract(r"^(\d+)([YMD]?)$")
    years = pd.to_numeric(parts[0]) * parts[1].map(_YEARS).fillna(1.0)
    impossible = years.isna() | (years > OLDEST)
    if impossible.any():
        logger.warning("%d of %d ages are no age of a patient: they are left empty", impossible.sum(), len(written))
    return years.mask(impossible)


def with_official_split(images: pd.DataFrame, folder: Path, file: str, refused: Quarantine) -> pd.DataFrame:
    """Add official_split, train or test, by the two published lists; refuse images in neither or in both.

    The lists do not tell validation from training: that part is made from the patients of train.
    """
    train, test = (_listed(present(folder, names)) for names in (NIH_TRAIN_LISTS, NIH_TEST_LISTS))
    in_train, in_test = images["image_id"].isin(train), images["image_id"].isin(test)
    images = images.assign(official_split=in_train.map({True: "train", False: "test"}))
    both, neither = in_train & in_test, ~in_train & ~in_test
    refused.add_rows(file, images.loc[both, "image_id"], "the image is in both official lists")
    refused.add_rows(file, images.loc[neither, "image_id"], "the image is in neither official list")
    return images[~both & ~neither].reset_index(drop=True)


def _listed(path: Path) -> set[str]:
    return set(read_table(path, ["image"], header=None, names=["image"])["image"].str.strip())


def read_box_list(path: Path, known: set[str], labels: tuple[str, ...], refused: Quarantine) -> dict[str, list[Box]]:
    """Return the boxes of each image in pixels of the published 1024 x 1024 PNG; none where there is no such table.

    Boxes without four numbers, without an area or with a label that is not in `labels` are refused; those of images
    that are not in `known` go with their image. Labels are written with spaces or with underscores, and Infiltration as
    Infiltrate.
    """
    if not path.exists():
        return {}
    table = read_table(path, list(_BOX_COLUMNS), index_col=False).rename(columns=_BOX_COLUMNS)
    spelling = {label.replace(" ", "_"): label for label in labels}
    table["label"] = table["label"].replace(_BOX_LABELS).replace(spelling)
    table, bad = with_sides(table)
    reason = "a box has an unknown label, a side that is no number, or no area"
    table = refuse(table, bad | ~table["label"].isin(labels), "image_id", path.name, reason, refused)
    return boxes_by_image(table[table["image_id"].isin(known)])


def _paths(root: Path, image_ids: pd.Series) -> pd.Series:
    """Return each image's path below the root; one that is nowhere gets the path it should have."""
    found = image_files(root)
    return pd.Series([found.get(image, f"images/{image}") for image in image_ids], index=image_ids.index, dtype="str")


def image_files(root: Path) -> dict[str, str]:
    """Return name -> path below the root of all PNGs in images/, images_001/images/ to images_012/images/, or the root.

    Each folder is listed once: looking for 112,120 files one by one takes minutes on a network drive.
    """
    folders = [folder for folder in sorted(root.glob("images*")) if re.fullmatch(r"images(_\d+)?", folder.name)]
    files: dict[str, str] = {}
    for folder in [*(inner for outer in folders for inner in (outer / "images", outer)), root]:
        if folder.is_dir():
            prefix = folder.relative_to(root).as_posix()
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries if entry.name.endswith(".png")]
            files |= {name: name if prefix == "." else f"{prefix}/{name}" for name in names if name not in files}
    return files
