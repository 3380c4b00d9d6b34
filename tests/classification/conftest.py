"""A made-up cohort of three classes: a bright square, a dark bar, and one that nobody has in the test split."""

import numpy as np
import pandas as pd
import pytest

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.tables import write_manifest, write_split
from cxrflow.files import write_table

CLASSES = ["Mass", "Effusion", "Hernia"]
SIZE = 64
IMAGES = 160


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> CohortFiles:
    """Return the canonical files of 80 patients with two images each."""
    root = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(0)
    images = np.clip(rng.normal(90, 12, (IMAGES, SIZE, SIZE)), 0, 255).astype(np.uint8)
    present = rng.random((IMAGES, 3)) < (0.5, 0.4, 0.3)
    names = np.array(["train", "train", "train", "validate", "test"])[np.arange(IMAGES) // 2 % 5]
    present[names == "test", 2] = False
    for image, (mass, effusion, _) in zip(images, present, strict=True):
        x, y = rng.integers(4, 40, 2)
        if mass:
            image[y : y + 14, x : x + 14] = 210
        if effusion:
            image[50:60, 4:60] = 15
    manifest = pd.DataFrame(
        {
            "image_id": [f"i{number:04d}" for number in range(IMAGES)],
            "patient_id": [f"p{number // 2:03d}" for number in range(IMAGES)],
            "study_id": [f"s{number:04d}" for number in range(IMAGES)],
            "path": [f"{number}.png" for number in range(IMAGES)],
            "view": "PA",
            "height": SIZE,
            "width": SIZE,
            "sex": "F",
            "age": 50.0,
            "official_split": None,
            "boxes": None,
        }
    )
    manifest[CLASSES] = present.astype(float)
    write_manifest(root / "manifest.parquet", manifest, CLASSES)
    write_split(root / "split.parquet", manifest[["image_id", "patient_id", "study_id"]].assign(split=names))
    np.save(root / "images.npy", images)
    index = manifest[["image_id", "height", "width"]].assign(row=np.arange(IMAGES), source_bytes=9000)
    write_table(root / "images.parquet", index)
    return CohortFiles(*(root / name for name in ("manifest.parquet", "split.parquet", "images.npy", "images.parquet")))
