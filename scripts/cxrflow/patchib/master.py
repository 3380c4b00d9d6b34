"""The data set of `patchib`: one JSON line per radiograph, with the text of its report, its labels and its split."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.policies import OTHER, UncertainPolicy, uncertain_value
from cxrflow.cohort.splits import assert_disjoint
from cxrflow.cohort.tables import SPLITS, read_labels
from cxrflow.errors import UserError
from cxrflow.files import atomic_path, write_twins
from cxrflow.patchib.data_settings import MasterSettings, TextSections
from cxrflow.patchib.master_lines import MasterRecord
from cxrflow.patchib.queries import SOURCES, report_query, report_sections, whole_report

logger = logging.getLogger(__name__)

PUBLISHED = {
    "images": (213_364, 1_733, 3_041),
    "Atelectasis": (43_179, 347, 679),
    "Cardiomegaly": (41_735, 363, 808),
    "Consolidation": (10_053, 76, 191),
    "Edema": (25_472, 233, 659),
    "Enlarged Cardiomediastinum": (6_681, 53, 132),
    "Fracture": (4_111, 17, 78),
    "Lung Lesion": (5_766, 64, 108),
    "Lung Opacity": (48_097, 373, 974),
    "No Finding": (71_202, 561, 539),
    "Pleural Effusion": (50_720, 452, 990),
    "Pleural Other": (1_814, 14, 52),
    "Pneumonia": (15_151, 115, 309),
    "Pneumothorax": (9_916, 73, 94),
    "Support Devices": (63_058, 550, 1_061),
}
"""Images, and those with each label, in train, validate and test: MIMIC-CXR as the README of Patch-IB-CXR counts it."""
_SIZES = {"images": "image_id", "studies": "study_id", "patients": "patient_id"}
_WRITTEN: dict[float, Literal[0, 1]] = {0.0: 0, 1.0: 1}


@dataclass(frozen=True)
class MasterFiles:
    """What is written: JSON lines, sorted by dicom_id; counts per split; what each rule left out. csv with twins."""

    master: Path
    distribution: Path
    dropped: Path


def build_master(
    cohort: CohortFiles, outputs: MasterFiles, settings: MasterSettings, name: str, simulated: bool
) -> None:
    """Write the data set of a cohort, whose patients are each in one split, and tables of what is in it.

    A label is 1 where it is present, 0 where it is absent or not mentioned; uncertain ones by policy. Tables (each with
    cohort, simulated): `distribution` has split, label (or images, studies, patients, `text from <sections>`), count of
    images, published (empty for other labels than CheXpert's); `dropped` has step, split, dropped, left (images).

    Raises UserError where there are no reports, a patient is in two splits, or no image is left.
    """
    labels = label_order(cohort.manifest)
    images = _images(cohort, labels, settings)
    decoded = images["image_id"].isin(pd.read_parquet(cohort.index, columns=["image_id"])["image_id"])
    steps = {
        "in the manifest": images["split"].notna(),
        "another view": images["view"].isin(settings.views),
        "no report": images["query"].notna(),
        "short report": images["characters"] >= settings.shortest_report,
        "no such section": images["query"] != "",
        "missing or unreadable image": decoded,
    }
    kept, dropped = _left(images, steps)
    if kept.empty:
        raise UserError(
            f"No image of {name} is left: {dropped.groupby('step', sort=False)['left'].sum().to_dict()}.",
            "choose other `views`, or see why the cohort has so few reports or images (results/quarantine/).",
        )
    logger.info("%d of %d images make the data set; what each rule left out is in a table", len(kept), len(images))
    _write_lines(outputs.master, kept, labels)
    for path, table in (
        (outputs.distribution, _distribution(kept, labels, SOURCES[settings.text_sections])),
        (outputs.dropped, dropped),
    ):
        write_twins(path, pd.DataFrame({"cohort": name, "simulated": simulated}, index=table.index).join(table))


def label_order(manifest: Path) -> list[str]:
    """Return the cohort's labels in the order in which a line has them: the alphabet's."""
    return sorted(read_labels(manifest))


def _images(cohort: CohortFiles, labels: Sequence[str], settings: MasterSettings) -> pd.DataFrame:
    """Return one row per image of the manifest, sorted by image_id: its ids, path, view, split and labels as numbers.

    With them, where its study has a report: query, source, and characters of the whole report.
    """
    if cohort.reports is None:
        raise UserError("The cohort has no reports.", "patchib matches radiographs with reports: name their folder.")
    columns = ["image_id", "patient_id", "study_id", "path", "view", *labels]
    images = pd.read_parquet(cohort.manifest, columns=columns).sort_values("image_id", ignore_index=True)
    split = pd.read_parquet(cohort.split, columns=["image_id", "split"])
    images = images.merge(split, on="image_id", how="left", validate="one_to_one")
    if images["split"].isna().any():
        raise UserError(
            f"{int(images['split'].isna().sum())} of {len(images)} images have no split.",
            "manifest and split belong to different runs: have both made again.",
        )
    assert_disjoint(images)
    for label, value in _uncertain_values(settings.uncertain, labels).items():
        images[label] = images[label].fillna(0.0).replace(-1.0, value)
    texts = _texts(cohort.reports, settings.text_sections)
    return images.merge(texts, on="study_id", how="left", validate="many_to_one")


def _uncertain_values(policy: UncertainPolicy, labels: Sequence[str]) -> dict[str, float]:
    unknown = [] if isinstance(policy, str) else sorted(set(policy) - {*labels, OTHER})
    if unknown:
        raise UserError(f"`uncertain` names {unknown}.", f"the cohort's labels are: {', '.join(labels)}.")
    return {label: uncertain_value(policy, label) for label in labels}


def _texts(reports: Path, wanted: TextSections) -> pd.DataFrame:
    """Return one row per report: study_id, query, source, characters (of the whole report)."""
    table = pd.read_parquet(reports, columns=["study_id", "findings", "impression", "other"]).fillna("")
    rows = []
    for study, *parts in table.itertuples(index=False):
        sections = report_sections(*parts)
        rows.append((study, *report_query(sections, wanted), len(whole_report(sections))))
    return pd.DataFrame(rows, columns=["study_id", "query", "source", "characters"])


def _left(images: pd.DataFrame, steps: Mapping[str, pd.Series]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the images for which every step holds, and how many each step dropped and left in each split."""
    kept, counts = pd.Series(True, index=images.index), []
    for step, holds in steps.items():
        dropped, kept = kept & ~holds, kept & holds
        by_split = [_by_split(images.loc[rows, "split"]).to_numpy() for rows in (dropped, kept)]
        counts.append(pd.DataFrame({"step": step, "split": SPLITS, "dropped": by_split[0], "left": by_split[1]}))
    return images[kept], pd.concat(counts, ignore_index=True)


def _distribution(images: pd.DataFrame, labels: Sequence[str], sources: Sequence[str]) -> pd.DataFrame:
    """Return split, label, count, published."""
    counts = {name: _by_split(images.drop_duplicates(key)["split"]) for name, key in _SIZES.items()}
    counts |= {label: _by_split(images.loc[images[label] == 1.0, "split"]) for label in labels}
    counts |= {f"text from {name}": _by_split(images.loc[images["source"] == name, "split"]) for name in sources}
    published = PUBLISHED if tuple(labels) == CHEXPERT_LABELS else {}
    rows = [
        (split, name, count[split], known)
        for name, count in counts.items()
        for split, known in zip(SPLITS, published.get(name, (None, None, None)), strict=True)
    ]
    return pd.DataFrame(rows, columns=["split", "label", "count", "published"]).astype({"published": "Int64"})


def _by_split(splits: pd.Series) -> pd.Series:
    return splits.value_counts().reindex(list(SPLITS), fill_value=0)


def _write_lines(path: Path, images: pd.DataFrame, labels: Sequence[str]) -> None:
    columns = [images[name].tolist() for name in ("split", "query", "path", "patient_id", "study_id", "image_id")]
    values = images[list(labels)].to_numpy(np.float32).tolist()
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as lines:
        for row, (split, query, file, patient, study, image) in zip(values, zip(*columns, strict=True), strict=True):
            known = [_WRITTEN.get(value) for value in row]
            record = MasterRecord(split, query, file, known, patient, study, image)
            lines.write(json.dumps(vars(record), ensure_ascii=False) + "\n")
