"""The way from any raw tree to the canonical frames: the adapter reads, and what all data sets need is done once."""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cxrflow.cohort.adapters import chexpert, chexpert_plus, deeplesion, mimic, nih, openi, slices
from cxrflow.cohort.adapters.raw import RawCohort, SectionedReport, Source, refuse, with_scaled_boxes
from cxrflow.cohort.decoding import EMPTY, dimensions
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.sections import report_text
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.tables import REPORTS
from cxrflow.cohort.unreadable import MISSING, UnreadableImageError
from cxrflow.errors import UserError
from cxrflow.files import confined, is_file

logger = logging.getLogger(__name__)

Adapter = Callable[[Source, ReadingSettings, Quarantine], RawCohort]

ADAPTERS: dict[str, Adapter] = {
    "mimic-cxr-jpg": mimic.read_jpg,
    "mimic-cxr-dicom": mimic.read_dicom,
    "nih": nih.read_nih,
    "chexpert": chexpert.read_chexpert,
    "chexpert-plus": chexpert_plus.read_chexpert_plus,
    "openi-xml": openi.read_xml,
    "openi-csv": openi.read_csv,
    "deeplesion": deeplesion.read_deeplesion,
    "slices": slices.read_slices,
}
AT_ONCE = 1024
"""Files that a thread looks at before it takes the next ones."""
MAIN_SECTIONS = ("findings", "impression")


@dataclass(frozen=True)
class Cohort:
    """Canonical frames of a raw tree, and the number of input rows behind them."""

    manifest: pd.DataFrame
    labels: list[str]
    reports: pd.DataFrame
    input_rows: int


def read_cohort(
    layout: str, source: Source, settings: ReadingSettings, refused: Quarantine, workers: int = 1
) -> Cohort:
    """Read the tree at `source` in the given layout; rows that can't be used go to `refused`.

    Raises UserError where a table is missing or not as published, a path leads out of the root, or no image is left.
    """
    raw = ADAPTERS[layout](source, settings, refused)
    twice = raw.images["image_id"].duplicated(keep=False)
    images = refuse(raw.images, twice, "image_id", raw.table, "the image's id is not unique", refused)
    images = _of_views(images, settings.views)
    images = _inspected(images, source.root, raw.table, refused, workers)
    if raw.box_side is not None:
        images = with_scaled_boxes(images, raw.box_side)
    manifest = images.sort_values("image_id", ignore_index=True)
    if "boxes" not in manifest:
        manifest["boxes"] = None
    studies = manifest[["study_id", "patient_id"]].drop_duplicates("study_id").sort_values("study_id")
    reports = _report_table(raw.reports(studies) if raw.reports else (), settings, refused)
    return Cohort(manifest, list(raw.labels), reports, raw.rows + (len(studies) if raw.reports else 0))


def _of_views(images: pd.DataFrame, views: Sequence[str]) -> pd.DataFrame:
    """Keep the wanted views; other views are a choice of the configuration, not bad rows."""
    kept = images[images["view"].isin(views)].reset_index(drop=True)
    logger.info("%d of %d images have the views %s", len(kept), len(images), ", ".join(views))
    if kept.empty:
        raise UserError(
            f"No image has one of the views {views}; there are {images['view'].value_counts().to_dict()}.",
            "choose among these in the cohort's `reading.views`; if there are none, see the quarantine log above.",
        )
    return kept


def _inspected(images: pd.DataFrame, root: Path, table: str, refused: Quarantine, workers: int) -> pd.DataFrame:
    """Refuse images without a file; add height and width from the files' headers where no table tells them."""
    known = "height" in images and "width" in images

    def look(path: str) -> tuple[str, int, int]:
        file = confined(root, path)
        if not is_file(file):
            return MISSING, 0, 0
        try:
            if not file.stat().st_size:
                return EMPTY, 0, 0
            return ("", 0, 0) if known else ("", *dimensions(file))
        except UnreadableImageError as error:
            return str(error), 0, 0

    def look_at(start: int) -> list[tuple[str, int, int]]:
        return [look(path) for path in paths[start : start + AT_ONCE]]

    paths = images["path"].tolist()
    with ThreadPoolExecutor(max(1, workers)) as pool:
        seen = [file for part in pool.map(look_at, range(0, len(paths), AT_ONCE)) for file in part]
    problems = pd.Series([problem for problem, _, _ in seen], index=images.index, dtype=object)
    if not known:
        images = images.assign(height=[height for _, height, _ in seen], width=[width for _, _, width in seen])
    for problem in sorted(set(problems) - {""}):
        refused.add_rows(table, images.loc[problems == problem, "image_id"], problem)
    if not (problems == "").any():
        raise UserError(
            f"None of the {len(images)} images below {root} can be used: {problems.value_counts().to_dict()}.",
            "`root` is the folder that the paths in the tables start from.",
        )
    return images[problems == ""].reset_index(drop=True)


def _report_table(reports: Iterable[SectionedReport], settings: ReadingSettings, refused: Quarantine) -> pd.DataFrame:
    rows = []
    for report in reports:
        if report.sections is None:
            refused.add(report.file, report.study_id, report.problem)
            continue
        text = report_text(report.sections, tuple(settings.text_sections), settings.text_rule)
        if len(text) < settings.minimum_report_characters:
            reason = f"the report has under {settings.minimum_report_characters} characters"
            refused.add(report.file, report.study_id, reason)
            continue
        main = [report.sections.get(name, "") for name in MAIN_SECTIONS]
        other = "\n".join(f"{name}: {value}" for name, value in report.sections.items() if name not in MAIN_SECTIONS)
        rows.append((report.study_id, report.patient_id, *main, other, text))
    return pd.DataFrame(rows, columns=REPORTS.names)
