"""Open-I (Demner-Fushman et al., JAMIA 2016): as published (XML), and in the widely used csv form with its views."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from cxrflow.cohort.adapters.raw import RawCohort, ReportReader, SectionedReport, Source, read_table, refuse
from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.layouts import OPENI_CSV_TABLES, OPENI_REPORTS, present
from cxrflow.cohort.openi import MAX_MEMBER_BYTES, OpenIReport, parse_report, read_openi
from cxrflow.cohort.openi_index import index_labels
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.sections import clean_text
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.errors import UserError
from cxrflow.files import is_file

logger = logging.getLogger(__name__)

_SECTIONS = ("indication", "comparison", "findings", "impression")
_XML_FOLDERS = ("NLMCXR_png", "images")
_CSV_FOLDERS = ("images/images_normalized", "images")
_VIEWS = {"Frontal": "FRONTAL", "Lateral": "LATERAL"}


def read_xml(source: Source, settings: ReadingSettings, refused: Quarantine) -> RawCohort:
    """Read the published XML reports, packed or unpacked, and the PNGs they name; they tell no view: all are UNKNOWN.

    There is one study a patient, and no official split. Labels come from the human index: what it names is present,
    everything else is null, not mentioned.
    """
    place = present(source.tables, OPENI_REPORTS)
    reports = _from_folder(place, refused) if place.is_dir() else read_openi(place)
    bare = sum(not report.images for report in reports)
    logger.info("%d of %d reports name no image: they make no row", bare, len(reports))
    rows = [(image, report.uid, *_label_row(report.index)) for report in reports for image in report.images]
    images = pd.DataFrame(rows, columns=["image_id", "patient_id", *CHEXPERT_LABELS])
    images = _completed(images, _folder(source.root, _XML_FOLDERS) + images["image_id"] + ".png").assign(view="UNKNOWN")
    texts = {report.uid: {name: getattr(report, name) for name in _SECTIONS} for report in reports}
    return RawCohort(images, CHEXPERT_LABELS, place.name, len(images), _reader(texts, place.name))


def read_csv(source: Source, settings: ReadingSettings, refused: Quarantine) -> RawCohort:
    """Read the csv form (a table of reports, a table of images with their projection); otherwise as the XML form."""
    report_file, image_file = OPENI_CSV_TABLES
    reports = _report_table(source.tables / report_file, refused)
    table = read_table(source.tables / image_file, ["uid", "filename", "projection"])
    rows = len(table)
    table = refuse(table, table["filename"].isna(), "uid", image_file, "the row has no file name", refused)
    bad = table["uid"].isna() | ~table["projection"].isin(_VIEWS)
    reason = "the row has no uid, or a projection that is not Frontal or Lateral"
    table = refuse(table, bad, "filename", image_file, reason, refused)
    images = pd.DataFrame(
        {
            "image_id": table["filename"].str.replace(r"(\.dcm)?\.png$", "", regex=True),
            "patient_id": table["uid"],
            "view": table["projection"].map(_VIEWS),
        }
    )
    indices = (tuple(part.strip() for part in mesh.split(";") if part.strip()) for mesh in reports["MeSH"])
    labels = pd.DataFrame(map(_label_row, indices), index=reports["uid"], columns=list(CHEXPERT_LABELS), dtype=float)
    images = _completed(images.join(labels, on="patient_id"), _folder(source.root, _CSV_FOLDERS) + table["filename"])
    rows_of = zip(reports["uid"], reports[list(_SECTIONS)].itertuples(index=False), strict=True)
    texts = {uid: dict(zip(_SECTIONS, row, strict=True)) for uid, row in rows_of}
    return RawCohort(images, CHEXPERT_LABELS, image_file, rows, _reader(texts, report_file))


def _report_table(path: Path, refused: Quarantine) -> pd.DataFrame:
    # Empty cells stay empty strings, and a section that reads 'None' stays that word.
    reports = read_table(path, ["uid", "MeSH", *_SECTIONS], keep_default_na=False)
    reports = refuse(reports, reports["uid"] == "", "uid", path.name, "the row has no uid", refused)
    return refuse(reports, reports["uid"].duplicated(keep=False), "uid", path.name, "the uid is not unique", refused)


def _from_folder(folder: Path, refused: Quarantine) -> list[OpenIReport]:
    """Read the unpacked reports; files that are no report, and reports with the same number, are refused."""
    reports: dict[str, tuple[str, OpenIReport]] = {}
    repeated: set[str] = set()
    for path in sorted(folder.glob("*.xml")):
        try:
            report = parse_report(_small(path), path.name)
        except UserError as error:
            refused.add(path.name, "", str(error).splitlines()[0])
            continue
        if report.uid in reports:
            repeated.add(report.uid)
            refused.add(path.name, report.uid, "another file has the same report number")
        reports.setdefault(report.uid, (path.name, report))
    for uid in repeated:
        refused.add(reports.pop(uid)[0], uid, "another file has the same report number")
    if not reports:
        raise UserError(f"{folder} holds no report (*.xml) that can be read.", "unpack NLMCXR_reports.tgz again.")
    return [report for _, report in sorted(reports.values(), key=lambda pair: int(pair[1].uid))]


def _small(path: Path) -> bytes:
    if not is_file(path) or path.stat().st_size > MAX_MEMBER_BYTES:
        raise UserError(f"{path.name} is no plain file of at most {MAX_MEMBER_BYTES:,} bytes.", "reports are small.")
    return path.read_bytes()


def _label_row(index: tuple[str, ...]) -> list[float]:
    """Return 1.0 or NaN for each of CHEXPERT_LABELS: all NaN where nobody indexed the report ('No Indexing')."""
    positive = index_labels(index)
    return [1.0 if label in positive else float("nan") for label in CHEXPERT_LABELS]


def _folder(root: Path, names: Iterable[str]) -> str:
    """Return the first of the folders that exists below the root, with a slash, or nothing: the root itself."""
    return next((f"{name}/" for name in names if (root / name).is_dir()), "")


def _completed(images: pd.DataFrame, paths: pd.Series) -> pd.DataFrame:
    """Add what every Open-I image has or lacks: a patient's only study, no sex, age or official split."""
    return images.assign(study_id=images["patient_id"], path=paths, sex=None, age=float("nan"), official_split=None)


def _reader(texts: dict[str, dict[str, str]], file: str) -> ReportReader:
    def read(studies: pd.DataFrame) -> Iterator[SectionedReport]:
        for study, patient in studies.itertuples(index=False):
            cleaned = {name: clean_text(text) for name, text in texts.get(study, {}).items()}
            sections = {name: text for name, text in cleaned.items() if text}
            problem = "" if sections else "the report is missing"
            yield SectionedReport(study, patient, file, sections or None, problem)

    return read
