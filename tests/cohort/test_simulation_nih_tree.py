"""The simulated ChestX-ray14 tree on disk: published file names and headers, NIH-CXR-LT's label files, resumption."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.cohort.long_tail import ADDED_CLASSES, NIH_CLASSES, NO_FINDING
from cxrflow.cohort.simulation import trees
from cxrflow.cohort.simulation.nih_table import COLUMNS
from cxrflow.cohort.simulation.nih_tree import box_label
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.simulate import simulate_cohort

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
LABELS = (
    "No Finding", "Infiltration|Nodule", "Effusion", "No Finding", "Pleural_Thickening|Mass", "Pneumothorax|Emphysema",
)  # fmt: skip
SETTINGS = SimulationSettings(anatomy="phantom", studies=36, size=64)


def table() -> pd.DataFrame:
    rows = [
        (
            f"{patient:08d}_{image:03d}.png", LABELS[(patient + image) % 6], str(image), str(patient),
            str(30 + patient), "MF"[patient % 2], ("PA", "AP")[image % 2], "2500", "2048", "0.168", "0.168",
        )
        for patient in range(1, 31)
        for image in range(1 + patient % 3)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture(autouse=True)
def _home_made_table(monkeypatch):
    monkeypatch.setattr(trees, "installed_table", lambda: Path("none"))
    monkeypatch.setattr(trees, "read_nih_table", lambda path: table())


@pytest.fixture(scope="module")
def tree(tmp_path_factory, chest) -> Path:
    root = tmp_path_factory.mktemp("raw")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "installed_table", lambda: Path("none"))
        patch.setattr(trees, "read_nih_table", lambda path: table())
        simulate_cohort(root, chest, "nih", SETTINGS, workers=1)
    return root / "nih"


def label_files(tree: Path) -> dict[str, pd.DataFrame]:
    return {
        part: pd.read_csv(tree / f"labels/miccai2023_nih-cxr-lt_labels_{part}.csv") for part in ("train", "val", "test")
    }


def boxes(tree: Path) -> pd.DataFrame:
    names = ["image", "label", "x", "y", "w", "h"]
    return pd.read_csv(tree / "BBox_List_2017.csv", skiprows=1, header=None, names=names)


def contents(root: Path) -> dict[str, str]:
    kept = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def test_the_table_has_the_published_header_and_labels(tree):
    text = (tree / "Data_Entry_2017_v2020.csv").read_text()
    assert text.splitlines()[0] == HEADER
    named = {label for line in text.splitlines()[1:] for label in line.split(",")[1].split("|")}
    assert named <= {label for joined in LABELS for label in joined.split("|")}
    assert "Pleural_Thickening" in named
    assert all(line.count(",") == HEADER.count(",") for line in text.splitlines())


def test_images_are_8_bit_grey_png_under_their_published_names(tree):
    rows = pd.read_csv(tree / "Data_Entry_2017_v2020.csv", index_col=False)
    assert len(rows) == SETTINGS.studies
    assert sorted(path.name for path in (tree / "images").iterdir()) == sorted(rows["Image Index"])
    for name in rows["Image Index"]:
        with Image.open(tree / "images" / name) as image:
            assert (image.size, image.mode, image.format) == ((64, 64), "L", "PNG")
            assert np.asarray(image).std() > 10


def test_the_lists_and_the_label_files_are_one_split(tree):
    listed = {name: set((tree / f"{name}_list.txt").read_text().split()) for name in ("train_val", "test")}
    parts = {part: set(rows["id"]) for part, rows in label_files(tree).items()}
    assert listed["test"] == parts["test"]
    assert listed["train_val"] == parts["train"] | parts["val"]
    assert sum(map(len, parts.values())) == SETTINGS.studies
    patients = [{name[:8] for name in names} for names in parts.values()]
    assert not patients[0] & patients[1]
    assert not patients[0] & patients[2]
    assert not patients[1] & patients[2]


def test_label_files_have_the_published_columns_and_agree_with_the_table(tree):
    rows = pd.read_csv(tree / "Data_Entry_2017_v2020.csv", index_col=False).set_index("Image Index")
    for part in label_files(tree).values():
        assert list(part) == ["id", *NIH_CLASSES, "subj_id"]
        assert set(part[list(NIH_CLASSES)].to_numpy().ravel()) <= {0, 1}
        for _, row in part.iterrows():
            written = set(rows.loc[row["id"], "Finding Labels"].replace("_", " ").split("|"))
            positive = {name for name in NIH_CLASSES if row[name] == 1}
            assert (positive - set(ADDED_CLASSES) or {NO_FINDING}) == written
            assert row["subj_id"] == rows.loc[row["id"], "Patient ID"]


def test_an_image_with_nothing_but_an_added_class_has_no_finding_in_the_original_table_only(tree):
    rows = pd.read_csv(tree / "Data_Entry_2017_v2020.csv", index_col=False).set_index("Image Index")
    labels = pd.concat(label_files(tree).values()).set_index("id")
    others = [name for name in NIH_CLASSES if name not in ADDED_CLASSES and name != NO_FINDING]
    only = labels[labels[list(ADDED_CLASSES)].any(axis=1) & ~labels[others].any(axis=1)]
    assert len(only) > 0
    assert (only[NO_FINDING] == 0).all()
    assert (rows.loc[only.index, "Finding Labels"] == "No Finding").all()


def test_every_added_class_has_three_images(tree):
    labels = pd.concat(label_files(tree).values())
    assert (labels[list(ADDED_CLASSES)].sum() == 3).all()


def test_boxes_are_in_pixels_of_1024_whatever_the_images_size(tree):
    assert (tree / "BBox_List_2017.csv").read_text().splitlines()[0] == "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    found = boxes(tree)
    assert (found[["x", "y"]] >= 0).all(axis=None)
    assert (found["x"] + found["w"]).max() <= 1024
    assert (found["y"] + found["h"]).max() <= 1024
    assert (found["x"] + found["w"]).max() > 600
    assert (found[["x", "y", "w", "h"]] % 16 == 0).all(axis=None)  # whole pixels of 64 x 64


def test_a_box_has_the_nih_spelling_of_a_class_of_its_image(tree):
    found = boxes(tree)
    assert {"Infiltrate", "Effusion", "Nodule", "Subcutaneous Emphysema"} <= set(found["label"])
    assert "No Finding" not in set(found["label"])
    labels = pd.concat(label_files(tree).values()).set_index("id")
    for row in found.itertuples():
        spelled = {box_label(name) for name in NIH_CLASSES if labels.loc[row.image, name] == 1}
        assert row.label in spelled


def test_the_checksums_are_those_of_all_files(tree):
    lines = dict(line.split("  ")[::-1] for line in (tree / "SHA256SUMS.txt").read_text().splitlines())
    assert len(lines) == SETTINGS.studies + 7
    for name, digest in lines.items():
        assert hashlib.sha256((tree / name).read_bytes()).hexdigest() == digest


def test_the_number_of_workers_changes_no_byte(tree, tmp_path, chest):
    simulate_cohort(tmp_path, chest, "nih", SETTINGS, workers=2)
    assert contents(tmp_path) == contents(tree.parent)


def test_only_what_is_missing_is_made_again(tmp_path, chest):
    small = SETTINGS.model_copy(update={"studies": 8})
    simulate_cohort(tmp_path, chest, "nih", small, workers=1)
    before = contents(tmp_path)
    victim, *others = sorted((tmp_path / "nih/images").iterdir())
    stamps = {path: path.stat().st_mtime_ns for path in others}
    victim.unlink()
    (tmp_path / "nih/SHA256SUMS.txt").unlink()
    simulate_cohort(tmp_path, chest, "nih", small, workers=1)
    assert contents(tmp_path) == before
    assert {path: path.stat().st_mtime_ns for path in others} == stamps


def test_a_tree_of_another_layout_is_removed(tmp_path, chest):
    small = SETTINGS.model_copy(update={"studies": 4})
    (tmp_path / "mimic-cxr-jpg").mkdir()
    (tmp_path / "mimic-cxr-jpg/IMAGE_FILENAMES").write_text("of another layout\n")
    simulate_cohort(tmp_path, chest, "nih", small, workers=1)
    assert not (tmp_path / "mimic-cxr-jpg").exists()
