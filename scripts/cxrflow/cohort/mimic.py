"""The adapter of MIMIC-CXR-JPG 2.0.0 and 2.1.0: the only place that knows this data set's files."""

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.tables import LABEL_VALUES, SPLITS
from cxrflow.errors import UserError
from cxrflow.files import confined
from cxrflow.reports.sections import parse_sections, report_text

logger = logging.getLogger(__name__)

LABELS = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
]
SPLIT_TABLE = "mimic-cxr-2.0.0-split.csv.gz"
METADATA_TABLE = "mimic-cxr-2.0.0-metadata.csv.gz"
LABEL_TABLES = {name: f"mimic-cxr-2.0.0-{name}.csv.gz" for name in ("chexpert", "negbio")}
MAIN_SECTIONS = ("findings", "impression")


@dataclass(frozen=True)
class Cohort:
    """What an adapter makes of a raw tree: canonical frames and the number of input rows behind them."""

    manifest: pd.DataFrame
    labels: list[str]
    reports: pd.DataFrame
    input_rows: int


def read_mimic(root: Path, reports: Path, boxes: Path | None, settings: ReadingSettings, refused: Quarantine) -> Cohort:
    """Read the tree at `root` and its reports; rows that can't be used go to `refused`.

    Raises UserError where a table is missing or lacks its columns.
    """
    images = _images(root, settings, refused)
    manifest = images.merge(_labels(root, settings.label_table, refused), on=["patient_id", "study_id"], how="left")
    known = _boxes(boxes) if boxes else {}
    manifest["boxes"] = pd.Series([known.get(image) for image in manifest["image_id"]], dtype=object)
    studies = manifest[["study_id", "patient_id"]].drop_duplicates("study_id").sort_values("study_id")
    return Cohort(manifest, LABELS, _reports(reports, studies, settings, refused), len(images) + len(studies))


def _images(root: Path, settings: ReadingSettings, refused: Quarantine) -> pd.DataFrame:
    metadata = _read(root / METADATA_TABLE, ["dicom_id", "subject_id", "study_id", "ViewPosition", "Rows", "Columns"])
    split = _read(root / SPLIT_TABLE, ["dicom_id", "study_id", "subject_id", "split"])
    images = metadata.merge(split[["dicom_id", "split"]], on="dicom_id", how="left", validate="many_to_many")
    images = _refuse(
        images, images["dicom_id"].duplicated(keep=False), METADATA_TABLE, "the dicom_id is not unique", refused
    )
    images = _refuse(images, ~images["split"].isin(SPLITS), SPLIT_TABLE, "no known split", refused)
    images["path"] = _image_paths(images)
    images = images[images["ViewPosition"].isin(settings.views)].reset_index(drop=True)
    absent = ~images["path"].map(lambda path: _has_content(confined(root, path))).astype(bool)
    images = _refuse(images, absent, METADATA_TABLE, "the image file is missing or empty", refused)
    return pd.DataFrame(
        {
            "image_id": images["dicom_id"],
            "patient_id": images["subject_id"],
            "study_id": images["study_id"],
            "path": images["path"],
            "view": images["ViewPosition"],
            "height": pd.to_numeric(images["Rows"]),
            "width": pd.to_numeric(images["Columns"]),
            "sex": None,  # MIMIC-CXR-JPG holds neither sex nor age: they are in MIMIC-IV
            "age": float("nan"),
            "official_split": images["split"],
        }
    ).sort_values("image_id", ignore_index=True)


def _image_paths(images: pd.DataFrame) -> pd.Series:
    subject, study = "p" + images["subject_id"], "s" + images["study_id"]
    return "files/" + subject.str[:3] + "/" + subject + "/" + study + "/" + images["dicom_id"] + ".jpg"


def _labels(root: Path, name: str, refused: Quarantine) -> pd.DataFrame:
    file = LABEL_TABLES[name]
    table = _read(root / file, ["subject_id", "study_id", *LABELS])
    values = table[LABELS].apply(pd.to_numeric, errors="coerce")
    known = (values.isin(LABEL_VALUES) | table[LABELS].isna()).all(axis="columns")
    table[LABELS] = values
    table = _refuse(table, ~known, file, "a label is not 1, 0, -1 or empty", refused, key="study_id")
    table = _refuse(
        table, table["study_id"].duplicated(keep=False), file, "the study has two rows", refused, key="study_id"
    )
    return table.rename(columns={"subject_id": "patient_id"})[["patient_id", "study_id", *LABELS]]


def _boxes(path: Path) -> dict[str, list[dict[str, object]]]:
    """Return the boxes of each image from a table in MS-CXR's columns (pixels of the original image)."""
    table = _read(path, ["dicom_id", "category_name", "x", "y", "w", "h"])
    table = table.rename(columns={"category_name": "label"}).astype(dict.fromkeys("xywh", float))
    table = table.drop_duplicates(["dicom_id", "label", *"xywh"])  # one row per phrase: boxes repeat
    records = table[["label", *"xywh"]].to_dict("records")
    boxes: dict[str, list[dict[str, object]]] = {}
    for image, record in zip(table["dicom_id"], records, strict=True):
        boxes.setdefault(image, []).append({str(key): value for key, value in record.items()})
    return boxes


def _reports(folder: Path, studies: pd.DataFrame, settings: ReadingSettings, refused: Quarantine) -> pd.DataFrame:
    rows = []
    for study, patient in studies.itertuples(index=False):
        file = f"files/p{patient[:2]}/p{patient}/s{study}.txt"
        text = _read_report(confined(folder, file))
        if text is None:
            refused.add(file, study, "the report is missing")
            continue
        sections = parse_sections(text)
        body = report_text(sections, tuple(settings.text_sections))
        if len(body) < settings.minimum_report_characters:
            refused.add(file, study, f"the report has under {settings.minimum_report_characters} characters")
            continue
        other = "\n".join(f"{name}: {value}" for name, value in sections.items() if name not in MAIN_SECTIONS)
        rows.append((study, patient, sections.get("findings", ""), sections.get("impression", ""), other, body))
    return pd.DataFrame(rows, columns=["study_id", "patient_id", "findings", "impression", "other", "text"])


def _read_report(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a csv as strings; raise UserError where it or one of `columns` is absent."""
    try:
        table = pd.read_csv(path, dtype=str)
    except FileNotFoundError:
        raise UserError(
            f"The table {path} is missing.",
            "`root` must be the folder that holds the data set's csv tables and `files/`.",
        ) from None
    except (EOFError, OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise UserError(
            f"The table {path} can't be read: {error}.", "download it again and compare its checksum."
        ) from None
    absent = [column for column in columns if column not in table]
    if absent:
        raise UserError(
            f"The table {path} lacks {absent}; its header is {list(table)}.", "is this the original, unedited file?"
        )
    return table


def _refuse(
    table: pd.DataFrame, bad: pd.Series, file: str, reason: str, refused: Quarantine, key: str = "dicom_id"
) -> pd.DataFrame:
    refused.add_rows(file, table.loc[bad, key], reason)
    return table[~bad].reset_index(drop=True)


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
