"""CheXpert Plus (Chambon et al., 2024): CheXpert's images as PNG with reports, and labels read from the reports."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from cxrflow.cohort.adapters.chexpert import adult_ages, below_root, ids_of, sexes, with_ids_and_view
from cxrflow.cohort.adapters.raw import (
    RawCohort,
    ReportReader,
    SectionedReport,
    Source,
    read_table,
    refuse,
    with_label_values,
)
from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.layouts import CHEXPERT_PLUS_TABLE, chexbert_labels
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.sections import clean_text, join_sentences, parse_sections
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.errors import UserError

logger = logging.getLogger(__name__)

_COLUMNS = ["path_to_image", "frontal_lateral", "ap_pa", "deid_patient_id", "age", "sex", "split"]
_SPLITS = ("train", "valid")
# Part of the report that labels were read from -> its column.
_PARTS = {"report": "report", "findings": "section_findings", "impression": "section_impression"}
# Column -> section. Left out are `section_summary` and `section_end_of_impression`: a code of how abnormal the study
# is, and a sentence that signs it. Columns after the first two are read where the file has them.
_SECTIONS = {
    "section_findings": "findings",
    "section_impression": "impression",
    "section_clinical_history": "history",
    "section_history": "history",
    "section_comparison": "comparison",
    "section_technique": "technique",
    "section_narrative": "narrative",
}
_SIGNED = re.compile(r"\n\s*(?:SUMMARY|END OF IMPRESSION|ACCESSION NUMBER)\s*:")
_FOLDERS = ("PNG", "PNG/PNG", ".")  # the archives hold a folder of the same name


def read_chexpert_plus(source: Source, settings: ReadingSettings, refused: Quarantine) -> RawCohort:
    """Read CheXpert Plus; official_split is `train` or `valid`, labels are null where the part they come from is empty.

    An empty part is no evidence: the labeler calls it `No Finding`, and most studies have no findings section.
    """
    table = _entries(source.tables / CHEXPERT_PLUS_TABLE)
    part = _PARTS[settings.label_section]
    # Texts are most of the table: they are put aside before the rows are copied from one check to the next.
    images = _images(table[_COLUMNS].assign(empty=table[part].isna()), source.root, refused)
    file = chexbert_labels(settings.label_section)
    images = images.merge(read_label_lines(source.tables / file, file, refused), on="image_id", how="left")
    images.loc[images["empty"], list(CHEXPERT_LABELS)] = float("nan")
    unlabelled = int(images[list(CHEXPERT_LABELS)].isna().all(axis="columns").sum())
    logger.info(
        "%d of %d images have no label; %d have an empty %s", unlabelled, len(images), images["empty"].sum(), part
    )
    images = images.drop(columns="empty")
    return RawCohort(images, CHEXPERT_LABELS, CHEXPERT_PLUS_TABLE, len(table), _reports(table))


def _entries(path: Path) -> pd.DataFrame:
    """Read the columns that are used: the header first, so that an error can show the whole of it."""
    header = read_table(path, [*_COLUMNS, *_PARTS.values()], nrows=0)
    wanted = [column for column in header if column in {*_COLUMNS, *_PARTS.values(), *_SECTIONS}]
    return read_table(path, wanted, usecols=wanted, keep_default_na=False, na_values=[""])


def _images(table: pd.DataFrame, root: Path, refused: Quarantine) -> pd.DataFrame:
    """Return the rows that can be used, in the manifest's columns but for the labels, and `empty` as it comes."""
    key, file = "path_to_image", CHEXPERT_PLUS_TABLE
    table = refuse(table, ~table["split"].isin(_SPLITS), key, file, "no known split", refused)
    table = with_ids_and_view(table, key, "frontal_lateral", "ap_pa", file, refused)
    table = refuse(table, table["deid_patient_id"].isna(), key, file, "the image has no patient", refused)
    return table[["image_id", "study_id", "view", "empty"]].assign(
        patient_id=table["deid_patient_id"],
        path=_paths(table[key], root),
        sex=sexes(table["sex"]),
        age=adult_ages(table["age"]),
        official_split=table["split"],
    )


def _paths(paths: pd.Series, root: Path) -> pd.Series:
    """Return the paths below `root`: PNG where there is such a file, else as the table has it (.jpg)."""
    paths = below_root(paths, root)
    folder = next((name for name in _FOLDERS if any((root / name / split).is_dir() for split in _SPLITS)), "PNG")
    written = paths if folder == "." else folder + "/" + paths
    as_png = written.str.replace(r"\.[a-z]+$", ".png", regex=True)
    there = [(root / path).is_file() for path in as_png]
    return as_png.where(pd.Series(there, index=as_png.index, dtype=bool), written)


def read_label_lines(path: Path, file: str, refused: Quarantine) -> pd.DataFrame:
    """Return image_id and the 14 labels from JSON lines, each an object with path_to_image and the labels.

    Lines that are no such object, name no image, or name one that another line names too are refused, as are those with
    a value other than 1, 0, -1 or null. Raises UserError where the file is missing, has no good line, or lacks a label.
    """
    names = ["path_to_image", *CHEXPERT_LABELS]
    rows: list[list[Any]] = []
    keys: dict[str, None] = {}
    for record in _records(path, file, refused):
        keys.update(dict.fromkeys(record))
        rows.append([record.get(name) for name in names])
    if not rows:
        raise UserError(
            f"The file {path} has no line that is a JSON object with path_to_image.",
            "expected are JSON lines, as in the published chexbert_labels folder.",
        )
    absent = [label for label in CHEXPERT_LABELS if label not in keys]
    if absent:
        raise UserError(
            f"The lines of {path} lack {absent}; their keys are {list(keys)}.", "is this the original, unedited file?"
        )
    table = pd.DataFrame(rows, columns=names, dtype=object)
    table = with_label_values(table, CHEXPERT_LABELS, "path_to_image", file, refused)
    table["image_id"] = ids_of(table["path_to_image"])["image_id"]
    nameless, twice = table["image_id"].isna(), table["image_id"].duplicated(keep=False)
    refused.add_rows(file, table.loc[nameless, "path_to_image"], "the path names no patient, study and view")
    refused.add_rows(file, table.loc[twice & ~nameless, "path_to_image"], "the image has two lines of labels")
    return table.loc[~nameless & ~twice, ["image_id", *CHEXPERT_LABELS]]


def _records(path: Path, file: str, refused: Quarantine) -> Iterator[dict[str, Any]]:
    try:
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                record = _record(line)
                if record is not None:
                    yield record
                elif line.strip():
                    refused.add(file, f"line {number}", "the line is not a JSON object with path_to_image")
    except FileNotFoundError:
        raise UserError(
            f"The labels {path} are missing.", "unpack chexbert_labels beside the table, or change `label_section`."
        ) from None


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("path_to_image"), str) else None


def _reports(table: pd.DataFrame) -> ReportReader:
    """Return the reader of the reports: one per study, in whose rows of `table` it is repeated."""
    columns = [column for column in ("report", *_SECTIONS) if column in table]
    distinct = table[columns].assign(study_id=ids_of(table["path_to_image"])["study_id"]).drop_duplicates()
    unlike = set(distinct.loc[distinct["study_id"].duplicated(), "study_id"])
    texts = distinct.drop_duplicates("study_id").set_index("study_id")[columns]

    def read(studies: pd.DataFrame) -> Iterator[SectionedReport]:
        wanted = texts.reindex(studies["study_id"]).itertuples(index=False)
        for (study, patient), row in zip(studies.itertuples(index=False), wanted, strict=True):
            if study in unlike:
                yield SectionedReport(study, patient, CHEXPERT_PLUS_TABLE, None, "the study's rows have unlike reports")
                continue
            sections = report_sections(dict(zip(columns, row, strict=True)))
            problem = "" if sections else "the report is missing"
            yield SectionedReport(study, patient, CHEXPERT_PLUS_TABLE, sections or None, problem)

    return read


def report_sections(columns: dict[str, Any]) -> dict[str, str]:
    """Return the sections of one report from its columns; cut from the whole text where the two main ones are empty."""
    texts = {name: text for name, text in columns.items() if isinstance(text, str) and text.strip()}
    if not {"section_findings", "section_impression"} & set(texts):
        return parse_sections(_SIGNED.split(texts.get("report", ""))[0])
    sections: dict[str, str] = {}
    for column, section in _SECTIONS.items():
        if column in texts and (clean := clean_text(texts[column])):
            sections[section] = join_sentences([sections[section], clean]) if section in sections else clean
    return sections
