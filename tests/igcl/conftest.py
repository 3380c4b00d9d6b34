"""A made-up cohort whose reports have graphs: a bright square is a mass, a dark bar an effusion."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.tables import write_manifest, write_reports, write_split
from cxrflow.files import write_table, write_text
from cxrflow.igcl.graph_building import build_graph_store
from cxrflow.igcl.graph_settings import GraphSettings

LABELS = ("Mass", "Effusion", "No Finding")
SIZE, PATIENTS, PER_PATIENT = 64, 50, 2
SPLITS = ("train", "train", "train", "validate", "test")


@dataclass(frozen=True)
class Cohort:
    """The canonical files of a cohort, its report graphs, and these as arrays with vectors."""

    files: CohortFiles
    report_graphs: Path
    graphs: Path
    vectors: Path

    @property
    def images(self) -> CohortFiles:
        """The files without reports."""
        return CohortFiles(self.files.manifest, self.files.split, self.files.images, self.files.index)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Return 50 patients of two radiographs each, one study per patient."""
    root, rng = tmp_path_factory.mktemp("cohort"), np.random.default_rng(0)
    mass, effusion = rng.random((2, PATIENTS)) < 0.5
    images = np.clip(rng.normal(90, 12, (PATIENTS * PER_PATIENT, SIZE, SIZE)), 0, 255).astype(np.uint8)
    patient = np.arange(len(images)) // PER_PATIENT
    for image, has_mass, has_effusion in zip(images, mass[patient], effusion[patient], strict=True):
        x, y = rng.integers(4, 40, 2)
        if has_mass:
            image[y : y + 14, x : x + 14] = 220
        if has_effusion:
            image[50:60, 4:60] = 10
    ids = {
        "image_id": [f"i{number:03d}" for number in range(len(images))],
        "patient_id": [f"p{number:02d}" for number in patient],
        "study_id": [f"s{number:02d}" for number in patient],
    }
    present = np.stack([mass, effusion, ~mass & ~effusion], axis=1)[patient].astype(float)
    _write_images(root, images, pd.DataFrame(ids), present, np.array(SPLITS)[patient % 5])
    _write_reports(root, mass, effusion)
    build_graph_store(
        root / "graphs.jsonl", root / "graphs.npz", root / "vectors.npy", GraphSettings(text_width=32), 1,
        Quarantine("test"),
    )  # fmt: skip
    names = ("manifest.parquet", "split.parquet", "images.npy", "images.parquet", "reports.parquet")
    files = CohortFiles(*(root / name for name in names))
    return Cohort(files, root / "graphs.jsonl", root / "graphs.npz", root / "vectors.npy")


def _write_images(root: Path, images: np.ndarray, ids: pd.DataFrame, present: np.ndarray, splits: np.ndarray) -> None:
    manifest = ids.assign(path="x.jpg", view="PA", height=SIZE, width=SIZE, sex="F", age=50.0, boxes=None)
    manifest["official_split"] = None
    manifest[list(LABELS)] = present
    write_manifest(root / "manifest.parquet", manifest, list(LABELS))
    write_split(root / "split.parquet", ids.assign(split=splits))
    np.save(root / "images.npy", images)
    index = ids[["image_id"]].assign(row=np.arange(len(ids)), height=SIZE, width=SIZE, source_bytes=1)
    write_table(root / "images.parquet", index)


def _write_reports(root: Path, mass: np.ndarray, effusion: np.ndarray) -> None:
    """Write reports and their graphs; the last patient's report has no entity."""
    reports, lines = [], []
    for number, findings in enumerate(zip(mass, effusion, strict=True)):
        words = [f"study{number}"]
        entities: dict[str, Any] = {}
        for name, there in zip(("mass", "effusion"), findings, strict=True):
            label = "OBS-DP" if there else "OBS-DA"
            entity = {"tokens": name, "label": label, "start_ix": len(words), "end_ix": len(words), "relations": []}
            entities[str(len(entities) + 1)] = entity
            words.append(name)
        if number == PATIENTS - 1:
            entities = {}
        text = " ".join(words)
        lines.append(json.dumps({"study_id": f"s{number:02d}", "text": text, "entities": entities}) + "\n")
        ids = {"study_id": f"s{number:02d}", "patient_id": f"p{number:02d}"}
        reports.append({**ids, "findings": text, "impression": None, "other": None, "text": text})
    write_text(root / "graphs.jsonl", "".join(lines))
    write_reports(root / "reports.parquet", pd.DataFrame(reports))
