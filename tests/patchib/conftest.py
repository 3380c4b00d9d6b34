"""Small towers with random weights in open_clip's layout, made once, and pairs of noise to run them on."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.tables import write_manifest
from cxrflow.files import write_table, write_text
from cxrflow.patchib.model import PatchModel
from cxrflow.patchib.settings import ModelSettings, SmallTowerSettings, TowerSettings
from cxrflow.patchib.small_towers import TowerFiles, write_untrained
from cxrflow.towers import build_tokenizer, build_towers, read_clip
from cxrflow.training import Batch
from cxrflow.weights import save_weights

SIZE, PATCHES, CONTEXT = 64, 16, 24
LABELS = ("Lung Lesion", "No Finding")
SETTINGS = TowerSettings(
    context_length=CONTEXT,
    small=SmallTowerSettings(
        image_tower="vit_stem_tiny_64", text_width=32, text_layers=2, text_heads=2, embedding=24, vocabulary=200
    ),
)
REPORTS = [
    "The heart is large. No effusion.",
    "Clear lungs.",
    "A small left pleural effusion with atelectasis at the base of the left lung.",
    "Nodule in the right upper lobe, unchanged since the prior study.",
]


@dataclass(frozen=True)
class Cohort:
    """The canonical files and the data set of a made-up cohort."""

    files: CohortFiles
    master: Path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder that open_clip reads."""
    place = tmp_path_factory.mktemp("towers")
    names = ("open_clip_config.json", "open_clip_model.safetensors", "config.json", "tokenizer.json")
    files = TowerFiles(*(place / name for name in (*names, "tokenizer_config.json", "history.csv", "state.pt")))
    write_untrained(files, REPORTS, SETTINGS)
    torch.manual_seed(0)
    save_weights(read_clip(str(place), weights=False), files.weights)
    return str(place)


@pytest.fixture
def batch(folder: str) -> Batch:
    """Four radiographs of noise with their reports; the trainer's progress is half-way."""
    words = build_tokenizer(folder, CONTEXT)
    images = torch.rand(len(REPORTS), 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    progress = torch.full((len(REPORTS),), 0.5)
    return {"images": images, "tokens": words.encode(REPORTS), "texts": torch.arange(4), "progress": progress}


def made(folder: str, settings: ModelSettings) -> PatchModel:
    """A model with random new modules on the towers, ready to be evaluated."""
    words = build_tokenizer(folder, CONTEXT)
    torch.manual_seed(2)
    return PatchModel(build_towers(folder, SIZE), settings, words.marks).eval()


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Sixty radiographs of noise, half of them with a bright square and a report that says so."""
    return write_cohort(tmp_path_factory.mktemp("cohort"))


def write_cohort(root: Path, count: int = 60) -> Cohort:
    """Write store, manifest and data set; every second radiograph has a square, boxed, in one of four corners."""
    rng = np.random.default_rng(0)
    images = np.clip(rng.normal(90, 12, (count, SIZE, SIZE)), 0, 255).astype(np.uint8)
    rows, lines = [], []
    for number in range(count):
        lesion, boxes = number % 2, []
        if lesion:
            x, y = (8 + 32 * int(part) for part in rng.integers(0, 2, 2))
            images[number, y : y + 16, x : x + 16] = 220
            boxes = [{"label": "Lung Lesion", "x": x, "y": y, "w": 16.0, "h": 16.0}]
        split = ("train", "train", "train", "validate", "test")[number // 2 % 5]
        text = f"A mass is seen. Study {number}." if lesion else f"Clear lungs. Study {number}."
        name = f"i{number:02d}"
        ids = {"subject_id": f"p{number:02d}", "study_id": f"s{number:02d}", "dicom_id": name}
        lines.append(
            {"split": split, "query": text, "image_path": f"{name}.jpg", "labels": [lesion, 1 - lesion], **ids}
        )
        rows.append({"image_id": name, "patient_id": ids["subject_id"], "study_id": ids["study_id"], "boxes": boxes})
    manifest = pd.DataFrame(rows).assign(path="x.jpg", view="PA", height=SIZE, width=SIZE, sex=None, age=np.nan)
    manifest["official_split"] = [line["split"] for line in lines]
    for place, label in enumerate(LABELS):
        manifest[label] = [float(line["labels"][place]) for line in lines]
    write_manifest(root / "manifest.parquet", manifest, list(LABELS))
    np.save(root / "images.npy", images)
    write_table(root / "images.parquet", manifest[["image_id"]].assign(row=np.arange(count)))
    write_text(root / "master.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    names = ("manifest.parquet", "split.parquet", "images.npy", "images.parquet")
    return Cohort(CohortFiles(*(root / name for name in names)), root / "master.jsonl")
