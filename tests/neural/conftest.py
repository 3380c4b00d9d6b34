"""A made-up cohort: noise with a bright square or a dark bar, reports that name them, boxes around them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.tables import write_manifest, write_reports, write_split
from cxrflow.files import write_table
from cxrflow.reports.extract import write_extraction
from cxrflow.reports.settings import ExtractSettings

LABELS = ["Lung Lesion", "Support Devices"]
SIZE = 96
SOURCE = 2 * SIZE  # the boxes are in pixels of a source image twice as large


@dataclass(frozen=True)
class MadeUp:
    """Where the made-up cohort is."""

    files: CohortFiles
    graphs: Path
    findings: Path
    root: Path


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> MadeUp:
    return make_cohort(tmp_path_factory.mktemp("made_up"), patients=60)


def make_cohort(root: Path, patients: int, seed: int = 0) -> MadeUp:
    """Write a cohort of two images per patient in the canonical form."""
    rng = np.random.default_rng(seed)
    images = np.stack([np.clip(rng.normal(90, 12, (SIZE, SIZE)), 0, 255) for _ in range(2 * patients)]).astype(np.uint8)
    rows = [_draw(images[number], number, rng) for number in range(2 * patients)]
    manifest = pd.DataFrame(rows)
    write_manifest(root / "manifest.parquet", manifest, LABELS)
    studies = manifest.drop_duplicates("study_id")
    text = [_report(row) for row in studies.to_dict("records")]
    reports = studies[["study_id", "patient_id"]].assign(findings=text, impression="", other="", text=text)
    write_reports(root / "reports.parquet", reports)
    names = ["train"] * 6 + ["validate"] * 2 + ["test"] * 2
    split = [names[int(patient[1:]) % 10] for patient in manifest["patient_id"]]
    write_split(root / "split.parquet", manifest[["image_id", "patient_id", "study_id"]].assign(split=split))
    np.save(root / "images.npy", images)
    index = manifest[["image_id", "height", "width"]].assign(row=np.arange(len(images)), source_bytes=9000)
    write_table(root / "images.parquet", index)
    graphs, findings = root / "graphs.jsonl", root / "findings.parquet"
    write_extraction(reports, findings, graphs, ExtractSettings())
    return MadeUp(CohortFiles(*(root / name for name in _NAMES)), graphs, findings, root)


_NAMES = ("manifest.parquet", "split.parquet", "images.npy", "images.parquet", "reports.parquet")


def _draw(image: np.ndarray, number: int, rng: np.random.Generator) -> dict[str, object]:
    lesion, device = rng.random(2) < 0.5
    boxes = []
    if lesion:
        boxes.append(_rectangle(image, "Lung Lesion", rng.integers(8, 64), rng.integers(8, 64), 18, 18, 110))
    if device:
        boxes.append(_rectangle(image, "Support Devices", rng.integers(8, 80), 20, 6, 50, -70))
    return {
        "image_id": f"i{number:04d}",
        "patient_id": f"p{number // 2:03d}",
        "study_id": f"s{number:04d}",
        "path": f"{number}.jpg",
        "view": "PA",
        "height": SOURCE,
        "width": SOURCE,
        "sex": "F",
        "age": 50.0,
        "official_split": None,
        "boxes": boxes,
        "Lung Lesion": float(lesion),
        "Support Devices": float(device),
    }


def _rectangle(image: np.ndarray, label: str, x: int, y: int, w: int, h: int, step: int) -> dict[str, object]:
    part = image[y : y + h, x : x + w]
    part[:] = np.clip(part.astype(int) + step, 0, 255)
    scale = SOURCE // SIZE
    return {"label": label, "x": float(scale * x), "y": float(scale * y), "w": float(scale * w), "h": float(scale * h)}


def _report(row: dict) -> str:
    lesion = "There is a nodule." if row["Lung Lesion"] else "No nodule is seen."
    device = "A catheter is in place." if row["Support Devices"] else "No catheter."
    return f"{lesion} {device} The heart is normal."
