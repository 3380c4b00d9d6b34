"""The files of MIMIC-CXR-JPG 2.0.0 around the simulated images: tables, reports, boxes."""

import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.simulation.rendering import MarkedBox, scene_view
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.studies import Study
from cxrflow.files import write_gzip, write_table, write_text

IMAGES, REPORTS = "mimic-cxr-jpg", "mimic-cxr"
BOX_TABLE = "MS_CXR_Local_Alignment_v1.1.0.csv"
METADATA = (
    "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows", "Columns",
    "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)  # fmt: skip
BOXES = (
    "dicom_id", "category_name", "label_text", "path", "x", "y", "w", "h", "image_width", "image_height", "split",
)  # fmt: skip
_ORIENTATION = {"PA": ("CHEST (PA AND LAT)", "postero-anterior"), "AP": ("CHEST (PORTABLE AP)", "antero-posterior")}

Boxes = dict[str, tuple[MarkedBox, ...]]


def write_mimic(root: Path, studies: list[Study], boxes: Boxes, settings: SimulationSettings) -> None:
    """Write reports and tables below `root`; `boxes` are by image."""
    write_reports(root / REPORTS, studies)
    views = {
        dicom_id: scene_view(study.scene, image, settings)
        for study in studies
        for image, dicom_id in enumerate(study.dicom_ids)
    }
    write_tables(root / IMAGES, studies, views, boxes, settings.size)


def report_text(study: Study) -> str:
    """Return the report as MIMIC-CXR writes one: headers in capitals after a space, blanks as '___'."""
    report = study.report
    sections = {
        "INDICATION": report.indication,
        "COMPARISON": report.comparison,
        "FINDINGS": report.findings,
        "IMPRESSION": report.impression,
    }
    lines = [" " * 33 + "FINAL REPORT"]
    for header, content in sections.items():
        if content.strip():
            text = f"{header}:  {content.replace('XXXX', '___')}"
            lines += [" " + line for line in textwrap.wrap(text, 78)] + [" "]
    return "\n".join(lines) + "\n"


def write_reports(folder: Path, studies: Iterable[Study]) -> None:
    """Write one text file per study below `folder`."""
    for study in studies:
        path, text = folder / f"{study.folder}.txt", report_text(study)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)


def write_tables(root: Path, studies: list[Study], views: dict[str, str], boxes: Boxes, size: int) -> None:
    """Write the split, metadata, label and box tables and the list of images; `views` and `boxes` are by image."""
    images = [(study, dicom_id) for study in studies for dicom_id in study.dicom_ids]
    _gzipped(root / "mimic-cxr-2.0.0-split.csv.gz", split_table(images))
    _gzipped(root / "mimic-cxr-2.0.0-metadata.csv.gz", metadata_table(images, views, size))
    _gzipped(root / "mimic-cxr-2.0.0-chexpert.csv.gz", label_table(studies))
    write_table(root / BOX_TABLE, box_table(images, boxes, size))
    write_text(root / "IMAGE_FILENAMES", "".join(f"{path}\n" for path in sorted(_paths(images))))


def split_table(images: list[tuple[Study, str]]) -> pd.DataFrame:
    """One row per image: dicom_id, study_id, subject_id, split."""
    rows = [(dicom_id, study.study_id, study.subject_id, study.split) for study, dicom_id in images]
    return pd.DataFrame(rows, columns=["dicom_id", "study_id", "subject_id", "split"])


def metadata_table(images: list[tuple[Study, str]], views: dict[str, str], size: int) -> pd.DataFrame:
    """One row per image, in MIMIC-CXR-JPG's columns."""
    rows = []
    for study, dicom_id in images:
        view = views[dicom_id]
        procedure, code = _ORIENTATION[view]
        ids = (dicom_id, study.subject_id, study.study_id)
        rows.append((*ids, procedure, view, size, size, study.date, study.time, procedure, code, "Erect"))
    return pd.DataFrame(rows, columns=list(METADATA))


def label_table(studies: list[Study]) -> pd.DataFrame:
    """One row per study: 1.0 where the human index names a finding of that label, empty where it names none."""
    rows = [
        (study.subject_id, study.study_id, *(1.0 if label in study.labels else None for label in CHEXPERT_LABELS))
        for study in studies
    ]
    return pd.DataFrame(rows, columns=["subject_id", "study_id", *CHEXPERT_LABELS])


def box_table(images: list[tuple[Study, str]], boxes: Boxes, size: int) -> pd.DataFrame:
    """One row per finding, side and image, in the columns of MS-CXR."""
    return pd.DataFrame(list(_box_rows(images, boxes, size)), columns=list(BOXES))


def _box_rows(images: list[tuple[Study, str]], boxes: Boxes, size: int) -> Iterator[tuple[object, ...]]:
    for study, dicom_id in images:
        path = study.image_path(dicom_id)
        for marked in boxes[dicom_id]:
            box = marked.box
            sides = (box.x, box.y, box.w, box.h)
            yield (dicom_id, marked.label, marked.text, path, *sides, size, size, study.split)


def _paths(images: list[tuple[Study, str]]) -> list[str]:
    return [study.image_path(dicom_id) for study, dicom_id in images]


def _gzipped(path: Path, table: pd.DataFrame) -> None:
    write_gzip(path, table.to_csv(index=False).encode())
