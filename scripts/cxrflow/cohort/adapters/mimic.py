"""MIMIC-CXR-JPG 2.0.0 and 2.1.0, and MIMIC-CXR's DICOM files with the same tables."""

from collections.abc import Iterator

import pandas as pd

from cxrflow.cohort.adapters.long_tail_labels import with_long_tail_labels
from cxrflow.cohort.adapters.raw import (
    LONGEST_SIDE,
    RawCohort,
    ReportReader,
    SectionedReport,
    Source,
    box_column,
    read_boxes,
    read_table,
    refuse,
    with_label_values,
)
from cxrflow.cohort.adapters.report_files import UnreadableReportError, open_reports
from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.layouts import DICOM_LIST, METADATA_TABLE, SPLIT_TABLE, label_table
from cxrflow.cohort.long_tail import MIMIC_CLASSES
from cxrflow.cohort.mimic_sections import mimic_sections
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.tables import SPLITS, VIEWS

IDS = ["dicom_id", "subject_id", "study_id"]
NAMES = {"dicom_id": "image_id", "subject_id": "patient_id"}


def read_jpg(source: Source, settings: ReadingSettings, refused: Quarantine) -> RawCohort:
    """Read MIMIC-CXR-JPG: paths follow from the ids."""
    metadata, rows = _metadata(source, refused)
    subject, study = "p" + metadata["subject_id"], "s" + metadata["study_id"]
    path = "files/" + subject.str[:3] + "/" + subject + "/" + study + "/" + metadata["dicom_id"] + ".jpg"
    return _cohort(metadata.assign(path=path), rows, source, settings, refused)


def read_dicom(source: Source, settings: ReadingSettings, refused: Quarantine) -> RawCohort:
    """Read MIMIC-CXR: paths from its list of records, everything else from the tables of MIMIC-CXR-JPG."""
    records = read_table(source.root / DICOM_LIST, [*IDS, "path"])[["dicom_id", "path"]]
    records = refuse(
        records, records["dicom_id"].duplicated(keep=False), "dicom_id", DICOM_LIST, "the image's id is not unique",
        refused,
    )  # fmt: skip
    metadata, rows = _metadata(source, refused)
    metadata = metadata.merge(records, on="dicom_id", how="left")
    metadata = refuse(
        metadata,
        metadata["path"].isna(),
        "dicom_id",
        METADATA_TABLE,
        "the list of records lacks the image",
        refused,
    )
    return _cohort(metadata, rows, source, settings, refused)


def _metadata(source: Source, refused: Quarantine) -> tuple[pd.DataFrame, int]:
    """Return the rows that name an image, its patient, study and size, and the number of all rows."""
    table = read_table(source.tables / METADATA_TABLE, [*IDS, "ViewPosition", "Rows", "Columns"])
    rows = len(table)
    table["line"] = [f"line {number}" for number in range(2, rows + 2)]
    table = refuse(table, table[IDS].isna().any(axis="columns"), "line", METADATA_TABLE, "the row lacks an id", refused)
    sizes = table[["Rows", "Columns"]].apply(pd.to_numeric, errors="coerce").astype(float)
    sound = sizes.ge(1) & sizes.le(LONGEST_SIDE) & sizes.mod(1).eq(0)
    reason = f"the size in pixels is no whole number from 1 to {LONGEST_SIDE:,}"
    table = table.assign(Rows=sizes["Rows"], Columns=sizes["Columns"])
    return refuse(table, ~sound.all(axis="columns"), "dicom_id", METADATA_TABLE, reason, refused), rows


def _cohort(
    metadata: pd.DataFrame, rows: int, source: Source, settings: ReadingSettings, refused: Quarantine
) -> RawCohort:
    images = metadata.rename(columns=NAMES).assign(
        view=metadata["ViewPosition"].where(metadata["ViewPosition"].isin(VIEWS), "UNKNOWN"),
        height=metadata["Rows"],
        width=metadata["Columns"],
        sex=None,  # neither sex nor age is in MIMIC-CXR: they are in MIMIC-IV
        age=float("nan"),
        boxes=box_column(metadata["dicom_id"], read_boxes(source.boxes, refused)),
    )
    labels: tuple[str, ...] = CHEXPERT_LABELS
    if source.long_tail is None:
        images = _with_own_labels(images, source, settings, refused)
    else:
        labels = tuple(MIMIC_CLASSES)
        images = with_long_tail_labels(images, "mimic-cxr-lt", source.long_tail, METADATA_TABLE, refused)
    return RawCohort(images, labels, METADATA_TABLE, rows, _reports(source, settings))


def _with_own_labels(
    images: pd.DataFrame, source: Source, settings: ReadingSettings, refused: Quarantine
) -> pd.DataFrame:
    """Add official_split by the published table, and the labels of one of the labelers."""
    split = read_table(source.tables / SPLIT_TABLE, [*IDS, "split"])
    split = split.rename(columns=NAMES | {"split": "official_split"})[["image_id", "official_split"]].drop_duplicates()
    images = images.merge(split, on="image_id", how="left")
    unknown = ~images["official_split"].isin(SPLITS)
    images = refuse(images, unknown, "image_id", SPLIT_TABLE, "no known split", refused)
    return images.merge(_labels(source, settings, refused), on=["patient_id", "study_id"], how="left")


def _labels(source: Source, settings: ReadingSettings, refused: Quarantine) -> pd.DataFrame:
    file = label_table(settings.label_table)
    table = read_table(source.tables / file, ["subject_id", "study_id", *CHEXPERT_LABELS])
    table = with_label_values(table, CHEXPERT_LABELS, "study_id", file, refused)
    twice = table["study_id"].duplicated(keep=False)
    table = refuse(table, twice, "study_id", file, "the study has two rows", refused)
    return table.rename(columns=NAMES)[["patient_id", "study_id", *CHEXPERT_LABELS]]


def _reports(source: Source, settings: ReadingSettings) -> ReportReader | None:
    place = source.reports
    if place is None:
        return None

    def read(studies: pd.DataFrame) -> Iterator[SectionedReport]:
        with open_reports(place) as text_of:
            for study, patient in studies.itertuples(index=False):
                file = f"p{patient[:2]}/p{patient}/s{study}.txt"
                try:
                    yield _sectioned(study, patient, file, text_of(file), settings.legacy_sections)
                except UnreadableReportError as error:
                    yield SectionedReport(study, patient, file, None, str(error))

    return read


def _sectioned(study: str, patient: str, file: str, content: bytes | None, legacy: bool) -> SectionedReport:
    if content is None:
        return SectionedReport(study, patient, file, None, "the report is missing")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return SectionedReport(study, patient, file, None, "the report is not UTF-8")
    if "\0" in text:
        return SectionedReport(study, patient, file, None, "the report holds NUL characters")
    sections = mimic_sections(study, text, legacy)
    if sections is None:
        return SectionedReport(study, patient, file, None, "the public section parser leaves this study out")
    return SectionedReport(study, patient, file, sections)
