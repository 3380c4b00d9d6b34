"""Made-up patients with slices: a lesion of type `bright` or `dark` on one slice of most of them."""

from pathlib import Path

import numpy as np
import pandas as pd

from cxrflow.clear.feature_store import FeatureStore, PatientFeatures, write_store
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.tables import write_manifest, write_split
from cxrflow.files import write_table

LABELS = ("bright", "dark")
PATIENTS, SIZE = 60, 32
SPLITS = ("train", "train", "train", "validate", "test")
WIDTH = 6
TYPES, FOLDS, SEEDS = ("bone", "liver"), 3, 2


def write_cohort(root: Path, patients: int = PATIENTS, seed: int = 0) -> CohortFiles:
    """Write the canonical files of a cohort: one or two studies per patient, three to six slices each."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        has = rng.random(2) < 0.5
        for study in range(1 + patient % 2):
            count = int(rng.integers(3, 7))
            key = int(rng.integers(count))
            for number in range(count):
                name = f"{patient:06d}_{study:02d}"
                marked = number == key
                boxes = [{"label": LABELS[k], "x": 2.0, "y": 2.0, "w": 9.0, "h": 9.0} for k in range(2) if has[k]]
                rows.append(
                    {
                        "image_id": f"{name}_01_{number + 8:03d}.png",
                        "patient_id": f"{patient:06d}",
                        "study_id": name,
                        "boxes": boxes if marked and boxes else None,
                        **{label: float(has[k]) if marked and boxes else np.nan for k, label in enumerate(LABELS)},
                        "split": SPLITS[patient % 5],
                    }
                )
    table = pd.DataFrame(rows).sample(frac=1, random_state=seed, ignore_index=True)
    return _write(root, table, rng)


def _write(root: Path, table: pd.DataFrame, rng: np.random.Generator) -> CohortFiles:
    manifest = table.drop(columns="split").assign(
        path="x.png", view="AXIAL", height=SIZE, width=SIZE, sex="F", age=50.0
    )
    manifest["official_split"] = table["split"]
    write_manifest(root / "manifest.parquet", manifest, list(LABELS))
    write_split(root / "split.parquet", table[["image_id", "patient_id", "study_id", "split"]])
    images = rng.integers(80, 120, (len(table), SIZE, SIZE)).astype(np.uint8)
    np.save(root / "images.npy", images)
    index = pd.DataFrame({"image_id": table["image_id"], "row": np.arange(len(table)), "height": SIZE, "width": SIZE})
    index["source_bytes"], index["sha256"] = 1, [f"{number:064x}" for number in range(len(table))]
    write_table(root / "images.parquet", index)
    return CohortFiles(*(root / name for name in ("manifest.parquet", "split.parquet", "images.npy", "images.parquet")))


def telling_store(root: Path, slices: pd.DataFrame, seed: int = 0, shift: float = 3.0) -> FeatureStore:
    """Write features of noise in which a marked lesion raises the feature of its type on its slice alone."""
    rng = np.random.default_rng(seed)
    found = []
    for _, own in slices.groupby("patient_id", sort=False):
        features = rng.normal(size=(len(own), WIDTH)).astype(np.float32)
        for row, boxes in enumerate(own["boxes"]):
            for box in [] if boxes is None else boxes:
                features[row, LABELS.index(box["label"])] += shift
        found.append(PatientFeatures(features, own["image_id"].tolist(), own["study_id"].tolist()))
    patients = slices["patient_id"].unique().tolist()
    sizes = [len(part.images) for part in found]
    write_store(root / "f.npy", root / "f.npz", patients, found, sizes, WIDTH, "an encoder")
    return FeatureStore.open(root / "f.npy", root / "f.npz")


def predictions_of(
    encoder: str, skill: float, seed: int = 0, kind: str = "multi-label", labels: tuple[str, ...] = TYPES
) -> pd.DataFrame:
    """Log-odds of two seeds and three folds: noise on the truth, which every encoder shares."""
    truth, noise = np.random.default_rng(1), np.random.default_rng([2, seed])
    bags = [f"b{number:02d}" for number in range(90)]
    told = {label: (truth.random(90) < 0.4).astype(float) for label in labels}
    rows = []
    for run in range(SEEDS):
        for fold in range(FOLDS):
            for number, bag in enumerate(bags):
                split = "test" if number < 60 else "validate"
                if split == "validate" and number % FOLDS != fold:
                    continue
                for label in labels:
                    logit = skill * (told[label][number] - 0.5) + noise.normal() - 1
                    about = {"encoder": encoder, "seed": run, "fold": fold, "split": split, "bag": bag, "label": label}
                    rows.append({**about, "truth": told[label][number], "logit": logit})
    table = pd.DataFrame(rows).assign(task="t", aggregator="abmil", fraction=1.0, kind=kind, train_patients=20)
    return table.assign(patient_id=table["bag"])
