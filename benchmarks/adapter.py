"""A made-up MIMIC-CXR-JPG, from raw tables and zipped reports to manifest, reports and split.

At the published size (377,110 images) our time and peak memory; at a small one the ratio to row-by-row code.
"""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.adapter_run import read_tree
from benchmarks.timing import Comparison, apart
from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.layouts import METADATA_TABLE, SPLIT_TABLE, label_table
from cxrflow.cohort.sections import parse_sections

PUBLISHED_IMAGES, SMALL_IMAGES = 377_110, 4_000
VIEWS = ("AP", "PA", "LATERAL", "LL")
SHARES = (0.39, 0.25, 0.26, 0.10)
REPORT = " FINAL REPORT\n FINDINGS:  The lungs are clear. No effusion.\n \n IMPRESSION:  No acute disease, study {}.\n"


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """Yield the comparisons of this room."""
    with tempfile.TemporaryDirectory() as folder:
        whole, small = Path(folder, "whole"), Path(folder, "small")
        made_up_mimic(whole, PUBLISHED_IMAGES)
        made_up_mimic(small, SMALL_IMAGES)
        yield [
            Comparison(
                f"adapter and split of {SMALL_IMAGES:,} images / row by row",
                lambda: read_tree(small)["images"],
                lambda: row_by_row(small),
                goal=2,
                repeats=3,
            ),
            Comparison(
                f"adapter and split of {PUBLISHED_IMAGES:,} images",
                lambda: read_apart(whole),
                None,
                goal=float("nan"),
                repeats=1,
            ),
        ]


def made_up_mimic(folder: Path, images: int) -> None:
    """Write tables, one-byte image files and a zip of reports: 1.65 images a study, 3.5 studies a patient."""
    random = np.random.default_rng(0)
    study = np.sort(random.integers(int(images / 1.65), size=images))
    patient = (study / 3.5).astype(int)
    table = pd.DataFrame({"dicom_id": [f"{number:08x}" for number in range(images)]})
    table["subject_id"], table["study_id"] = (10_000_000 + patient).astype(str), (50_000_000 + study).astype(str)
    view = random.choice(VIEWS, size=images, p=SHARES)
    table.assign(ViewPosition=view, Rows=2544, Columns=3056).pipe(_write, folder / METADATA_TABLE)
    split = np.where(patient % 128 == 0, "validate", np.where(patient % 128 == 1, "test", "train"))
    table.assign(split=split).pipe(_write, folder / SPLIT_TABLE)
    studies = table.drop_duplicates("study_id")[["subject_id", "study_id"]]
    values = random.choice([1.0, 0.0, -1.0, np.nan], size=(len(studies), 14), p=[0.2, 0.1, 0.05, 0.65])
    labels = pd.DataFrame(values, columns=list(CHEXPERT_LABELS), index=studies.index)
    studies.join(labels).pipe(_write, folder / label_table("chexpert"))
    for image, subject, of_study in table[["dicom_id", "subject_id", "study_id"]].itertuples(index=False):
        file = folder / f"files/p{subject[:2]}/p{subject}/s{of_study}/{image}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"j")
    with zipfile.ZipFile(folder / "reports.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for subject, of_study in studies.itertuples(index=False):
            archive.writestr(f"files/p{subject[:2]}/p{subject}/s{of_study}.txt", REPORT.format(of_study))


def read_apart(folder: Path) -> dict[str, float]:
    """Read the tree in a process of its own, so that its peak memory is its own."""
    return apart("adapter_run", str(folder))


def row_by_row(folder: Path) -> int:
    """Read the same tree as research code mostly does: a loop over rows, a filter of the whole table for each."""
    metadata, split, labels = (
        pd.read_csv(folder / name, dtype=str) for name in (METADATA_TABLE, SPLIT_TABLE, label_table("chexpert"))
    )
    rows = []
    with zipfile.ZipFile(folder / "reports.zip") as archive:
        for _, row in metadata.iterrows():
            if row["ViewPosition"] not in ("PA", "AP"):
                continue
            place = f"files/p{row['subject_id'][:2]}/p{row['subject_id']}/s{row['study_id']}"
            path = folder / place / f"{row['dicom_id']}.jpg"
            if path.exists():
                sections = parse_sections(archive.read(f"{place}.txt").decode())
                found = labels[labels["study_id"] == row["study_id"]].iloc[0]
                part = split[split["dicom_id"] == row["dicom_id"]]["split"].iloc[0]
                rows.append({**row, **found, **sections, "path": str(path), "split": part})
    return len(pd.DataFrame(rows))


def _write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
