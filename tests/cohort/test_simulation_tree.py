"""The simulated tree on disk: MIMIC-CXR-JPG's layout, determinism, resumption, patient-disjoint splits."""

import hashlib
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.openi import OpenIReport
from cxrflow.cohort.simulation import trees
from cxrflow.cohort.simulation.anatomy import load_anatomy, save_anatomy
from cxrflow.cohort.simulation.mimic_tree import BOX_TABLE, BOXES, METADATA, report_text
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.simulate import simulate_cohort
from cxrflow.cohort.simulation.studies import Study, plan_studies
from cxrflow.errors import UserError

PATHS = (
    ("normal",),
    ("Cardiomegaly/mild",),
    ("Pleural Effusion/left/small", "Pulmonary Atelectasis/base/left"),
    ("Calcified Granuloma/lung/upper lobe/right",),
    ("Opacity/lung/base/right", "Catheters, Indwelling/left"),
    ("Pneumothorax/right/small",),
    ("Fractures, Bone/ribs/left",),
    ("Nodule/lung/left", "Pulmonary Edema"),
)
SETTINGS = SimulationSettings(anatomy="phantom", studies=24, size=96, second_image_share=0.3)


def reports(count: int = 40) -> list[OpenIReport]:
    return [
        OpenIReport(
            str(uid), "Cough XXXX.", "None.", f"Findings of {uid}. XXXX.", "Impression.", PATHS[uid % len(PATHS)]
        )
        for uid in range(1, count + 1)
    ]


@pytest.fixture(autouse=True)
def _home_made_reports(monkeypatch):
    monkeypatch.setattr(trees, "installed_archive", lambda: Path("none"))
    monkeypatch.setattr(trees, "read_openi", lambda archive: reports())


@pytest.fixture(scope="module")
def tree(tmp_path_factory, chest) -> Path:
    root = tmp_path_factory.mktemp("raw")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "installed_archive", lambda: Path("none"))
        patch.setattr(trees, "read_openi", lambda archive: reports())
        simulate_cohort(root, chest, "mimic-cxr-jpg", SETTINGS, workers=1)
    return root


def images(root: Path) -> list[Path]:
    return sorted((root / "mimic-cxr-jpg").rglob("*.jpg"))


def contents(root: Path) -> dict[str, str]:
    kept = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def test_the_tables_have_the_published_columns(tree):
    root = tree / "mimic-cxr-jpg"
    split = pd.read_csv(root / "mimic-cxr-2.0.0-split.csv.gz")
    metadata = pd.read_csv(root / "mimic-cxr-2.0.0-metadata.csv.gz")
    labels = pd.read_csv(root / "mimic-cxr-2.0.0-chexpert.csv.gz")
    boxes = pd.read_csv(root / BOX_TABLE)
    assert list(split) == ["dicom_id", "study_id", "subject_id", "split"]
    assert list(metadata) == list(METADATA)
    assert list(labels) == ["subject_id", "study_id", *CHEXPERT_LABELS]
    assert list(boxes) == list(BOXES)
    assert len(split) == len(metadata) == len(images(tree))
    assert set(metadata["ViewPosition"]) <= {"PA", "AP"}
    assert set(labels[list(CHEXPERT_LABELS)].melt()["value"].dropna()) == {1.0}
    assert set(boxes["category_name"]) <= set(CHEXPERT_LABELS)
    assert set(boxes["dicom_id"]) <= set(split["dicom_id"])


def test_images_and_reports_lie_where_mimic_has_them(tree):
    split = pd.read_csv(tree / "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz", dtype=str)
    for row in split.itertuples():
        folder = f"files/p{row.subject_id[:2]}/p{row.subject_id}/s{row.study_id}"
        assert len(row.subject_id) == len(row.study_id) == 8
        with Image.open(tree / "mimic-cxr-jpg" / folder / f"{row.dicom_id}.jpg") as image:
            assert (image.size, image.mode, image.format) == ((96, 96), "L", "JPEG")
        assert (tree / "mimic-cxr" / f"{folder}.txt").exists()
    listed = (tree / "mimic-cxr-jpg/IMAGE_FILENAMES").read_text().split()
    assert listed == [str(path.relative_to(tree / "mimic-cxr-jpg")) for path in images(tree)]


def test_the_checksums_are_those_of_the_files(tree):
    root = tree / "mimic-cxr-jpg"
    lines = (root / "SHA256SUMS.txt").read_text().splitlines()
    reports = list((tree / "mimic-cxr").rglob("*.txt"))
    assert len(lines) == len(images(tree)) + len(reports) + 5
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((root / name).read_bytes()).hexdigest() == digest


def test_boxes_lie_in_their_images(tree):
    boxes = pd.read_csv(tree / "mimic-cxr-jpg" / BOX_TABLE)
    assert len(boxes) > 0
    assert (boxes[["x", "y"]] >= 0).all(axis=None)
    assert (boxes[["w", "h"]] > 0).all(axis=None)
    assert (boxes["x"] + boxes["w"] <= boxes["image_width"]).all()
    assert (boxes["y"] + boxes["h"] <= boxes["image_height"]).all()


def test_a_report_reads_as_mimic_writes_them():
    text = report_text(plan_studies(reports(), SETTINGS)[0])
    assert "FINAL REPORT" in text.splitlines()[0]
    for header in ("INDICATION", "COMPARISON", "FINDINGS", "IMPRESSION"):
        assert f"\n {header}:  " in text
    assert "XXXX" not in text
    assert "___" in text


def test_no_patient_is_in_two_splits_and_some_have_two_studies():
    studies = plan_studies(reports(), SETTINGS.model_copy(update={"second_study_share": 0.4}))
    splits: dict[int, set[str]] = {}
    for study in studies:
        splits.setdefault(study.subject_id, set()).add(study.split)
    assert all(len(names) == 1 for names in splits.values())
    assert len(splits) < len(studies)
    assert set.union(*splits.values()) == {"train", "validate", "test"}


def test_two_studies_of_a_patient_share_the_anatomy_but_not_the_ids():
    studies = plan_studies(reports(), SETTINGS.model_copy(update={"second_study_share": 0.4}))
    pairs = [(one, other) for one, other in itertools.pairwise(studies) if one.patient == other.patient]
    assert pairs
    assert all(one.subject_id == other.subject_id and one.study_id != other.study_id for one, other in pairs)
    names = [name for study in studies for name in study.dicom_ids]
    assert len(names) == len(set(names))
    assert all(len(group) == 8 for name in names for group in name.split("-"))
    assert all(name.count("-") == 4 for name in names)


def test_labels_are_those_of_the_index_even_where_nothing_is_drawn():
    by_path = {study.report.index: study.labels for study in plan_studies(reports(), SETTINGS)}
    assert by_path["normal",] == {"No Finding"}
    assert by_path["Fractures, Bone/ribs/left",] == {"Fracture"}
    assert by_path["Pleural Effusion/left/small", "Pulmonary Atelectasis/base/left"] == {
        "Pleural Effusion",
        "Atelectasis",
    }


def test_too_many_studies_are_a_users_mistake():
    with pytest.raises(UserError, match="24 studies were asked for; Open-I has 10"):
        plan_studies(reports(10), SETTINGS)


def test_the_number_of_workers_changes_no_byte(tree, tmp_path, monkeypatch, chest):
    simulate_cohort(tmp_path, chest, "mimic-cxr-jpg", SETTINGS, workers=2)
    assert contents(tmp_path) == contents(tree)


def test_another_seed_gives_other_images(tree, tmp_path, chest):
    simulate_cohort(tmp_path, chest, "mimic-cxr-jpg", SETTINGS.model_copy(update={"seed": 1, "studies": 4}), workers=1)
    assert not set(contents(tmp_path).values()) & {
        digest for name, digest in contents(tree).items() if name.endswith("jpg")
    }


def test_only_what_is_missing_is_made_again(tmp_path, chest):
    small = SETTINGS.model_copy(update={"studies": 6})
    simulate_cohort(tmp_path, chest, "mimic-cxr-jpg", small, workers=1)
    before = contents(tmp_path)
    victim, *others = images(tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in others}
    victim.unlink()
    victim.with_name(f".{victim.name}.half-written.jpg").write_bytes(b"half")  # a killed run's temporary file
    (tmp_path / "mimic-cxr-jpg/SHA256SUMS.txt").unlink()
    simulate_cohort(tmp_path, chest, "mimic-cxr-jpg", small, workers=1)
    assert contents(tmp_path) == before
    assert {path: path.stat().st_mtime_ns for path in others} == stamps


def test_a_tree_of_other_settings_is_removed(tmp_path, chest):
    simulate_cohort(tmp_path, chest, "mimic-cxr-jpg", SETTINGS.model_copy(update={"studies": 6}), workers=1)
    first = set(images(tmp_path))
    simulate_cohort(tmp_path, chest, "mimic-cxr-jpg", SETTINGS.model_copy(update={"studies": 4, "seed": 3}), workers=1)
    assert not first & set(images(tmp_path))
    assert json.loads((tmp_path / "simulation.json").read_text())["settings"]["seed"] == 3


def test_a_tree_of_another_anatomy_is_removed(tmp_path, chest):
    small = SETTINGS.model_copy(update={"studies": 4})
    simulate_cohort(tmp_path, chest, "mimic-cxr-jpg", small, workers=1)
    first = {path: path.read_bytes() for path in images(tmp_path)}
    anatomy = load_anatomy(chest)
    other = tmp_path / "other.npz"
    save_anatomy(replace(anatomy, bone=2 * anatomy.bone), other)
    simulate_cohort(tmp_path, other, "mimic-cxr-jpg", small, workers=1)
    assert set(images(tmp_path)) == set(first)
    assert all(path.read_bytes() != content for path, content in first.items())


def test_a_second_image_is_another_exposure_of_the_same_study(tree):
    studies = [study for study in plan_studies(reports(), SETTINGS) if len(study.dicom_ids) == 2]
    assert studies
    root = tree / "mimic-cxr-jpg"
    pictures = [_pixels(root, studies[0], image) for image in (0, 1)]
    assert not np.array_equal(*pictures)


def _pixels(root: Path, study: Study, image: int) -> np.ndarray:
    with Image.open(root / study.image_path(study.dicom_ids[image])) as opened:
        return np.asarray(opened)
