from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxrflow.cohort.adapters.deeplesion import numbers
from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.adapters.reading import Cohort, read_cohort
from cxrflow.cohort.labels import LESION_TYPES
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.splits import split_images
from cxrflow.cohort.tables import read_labels, write_manifest
from cxrflow.errors import UserError

HEADER = (
    "File_name,Patient_index,Study_index,Series_ID,Key_slice_index,Measurement_coordinates,Bounding_boxes,"
    "Lesion_diameters_Pixel_,Normalized_lesion_location,Coarse_lesion_type,Possibly_noisy,Slice_range,Spacing_mm_px_,"
    "Image_size,DICOM_windows,Patient_gender,Patient_age,Train_Val_Test"
)
SIDE = 64


def row(
    name: str,
    box: str = "10, 12.5, 20, 30.5",
    kind: str = "5",
    noisy: str = "0",
    slices: str | None = None,
    size: str = f"{SIDE}, {SIDE}",
    split: str = "3",
    indices: str | None = None,
) -> str:
    patient, study, series, key = (int(part) for part in name.removesuffix(".png").split("_"))
    indices = indices or f"{patient},{study},{series},{key}"
    slices = slices or f"{key - 1}, {key + 1}"
    facts = f'"{slices}","0.8, 0.8, 5","{size}","-175, 275",F,62,{split}'
    measured = f'"11, 13, 19, 29, 12, 20, 18, 20","{box}","17.9, 6","0.3, 0.4, 0.5"'
    return f"{name},{indices},{measured},{kind},{noisy},{facts}"


ROWS = [
    row("000001_01_01_109.png"),
    row("000001_01_01_109.png", box="40, 40, 50, 50", kind="3"),
    row("000001_02_01_020.png", kind="4", slices="18, 21"),
    row("000002_01_01_015.png", kind="-1", split="1"),
    row("000003_01_03_015.png", kind="8", split="2"),
]


class Tree:
    """A copy of DeepLesion."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.table(ROWS)
        for series, numbers_ in {
            "000001_01_01": (108, 109, 110),
            "000001_02_01": (18, 19, 20, 21),
            "000002_01_01": (14, 15, 16),
            "000003_01_03": (14, 15, 16),
        }.items():
            for number in numbers_:
                self.image(series, number)

    def table(self, rows: list[str], header: str = HEADER) -> None:
        (self.root / "DL_info.csv").write_text("\n".join([header, *rows]) + "\n")

    def image(self, series: str, number: int, side: int = SIDE) -> Path:
        path = self.root / f"Images_png/{series}/{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.arange(side * side, dtype=np.uint16).reshape(side, side) + 31768
        Image.fromarray(pixels).save(path)
        return path

    def read(self, **settings: object) -> tuple[Cohort, list[tuple[str, str]]]:
        refused = Quarantine("test")
        about = ReadingSettings.model_validate(settings)
        cohort = read_cohort("deeplesion", Source(self.root, self.root), about, refused)
        assert {file for file, *_ in refused.rows} <= {"DL_info.csv"}
        return cohort, [(key, reason) for _, key, _, reason in refused.rows]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def by_id(cohort: Cohort) -> pd.DataFrame:
    return cohort.manifest.set_index("image_id")


def test_there_is_one_image_per_slice_and_one_box_per_row(tree: Tree) -> None:
    cohort, refused = tree.read()
    assert refused == []
    assert len(cohort.manifest) == 3 + 4 + 3 + 3
    assert set(cohort.manifest["view"]) == {"AXIAL"}
    boxes = by_id(cohort)["boxes"].dropna()
    assert boxes.map(len).to_dict() == {
        "000001_01_01_109.png": 2, "000001_02_01_020.png": 1, "000002_01_01_015.png": 1, "000003_01_03_015.png": 1,
    }  # fmt: skip
    assert boxes["000001_01_01_109.png"] == [
        {"label": "lung", "x": 10.0, "y": 12.5, "w": 10.0, "h": 18.0},
        {"label": "mediastinum", "x": 40.0, "y": 40.0, "w": 10.0, "h": 10.0},
    ]
    assert boxes["000002_01_01_015.png"][0]["label"] == "lesion"


def test_ids_path_sex_age_size_and_the_official_split(tree: Tree) -> None:
    key = by_id(tree.read()[0]).loc["000001_01_01_109.png"]
    assert (key["patient_id"], key["study_id"]) == ("000001", "000001_01")
    assert key["path"] == "Images_png/000001_01_01/109.png"
    assert (key["sex"], key["age"], key["height"], key["width"]) == ("F", 62, SIDE, SIDE)
    splits = tree.read()[0].manifest.groupby("patient_id")["official_split"].unique()
    assert [list(one) for one in splits] == [["test"], ["train"], ["validate"]]


def test_types_are_several_per_slice_and_null_where_nobody_knows_them(tree: Tree) -> None:
    labels = by_id(tree.read()[0])[list(LESION_TYPES)]
    several = labels.loc["000001_01_01_109.png"]
    assert several.to_dict() == {name: float(name in ("lung", "mediastinum")) for name in LESION_TYPES}
    assert labels.loc["000001_02_01_020.png"].to_dict() == {name: float(name == "liver") for name in LESION_TYPES}
    assert labels.loc["000002_01_01_015.png"].isna().all()  # the published training split has no types
    assert labels.loc[["000001_01_01_108.png", "000001_01_01_110.png"]].isna().all(axis=None)  # context slices


def test_a_known_type_beside_an_unknown_one_is_present_and_the_others_are_unknown(tree: Tree) -> None:
    tree.table([ROWS[0], row("000001_01_01_109.png", box="40, 40, 50, 50", kind="-1")])
    labels = by_id(tree.read()[0]).loc["000001_01_01_109.png", list(LESION_TYPES)]
    assert labels["lung"] == 1.0
    assert labels.drop("lung").isna().all()


@pytest.mark.parametrize(
    ("most", "expected"), [(0, {20}), (1, {19, 20, 21}), (2, {18, 19, 20, 21}), (None, {18, 19, 20, 21})]
)
def test_context_is_cut_to_what_is_asked_for(tree: Tree, most: int | None, expected: set[int]) -> None:
    manifest = tree.read(context_slices=most)[0].manifest
    found = manifest.loc[manifest["study_id"] == "000001_02", "image_id"]
    assert {int(name[-7:-4]) for name in found} == expected


def test_overlapping_ranges_of_a_series_give_each_slice_once_and_keep_both_boxes(tree: Tree) -> None:
    tree.table([row("000001_02_01_019.png", slices="18, 20"), row("000001_02_01_020.png", slices="19, 21")])
    manifest = tree.read()[0].manifest
    assert manifest["image_id"].tolist() == [f"000001_02_01_0{number}.png" for number in (18, 19, 20, 21)]
    assert manifest["boxes"].notna().tolist() == [False, True, True, False]


BAD = [
    (row("000003_01_03_015.png", indices="4,1,3,15"), "do not belong together"),
    (row("000003_01_03_015.png", indices="3,1,3,16"), "do not belong together"),
    (row("000003_01_03_015.png", indices="3,1,,15"), "do not belong together"),
    (row("000003_01_03_015.png").replace("000003_01_03_015.png", "../../etc/passwd", 1), "do not belong together"),
    (row("000003_01_03_015.png", box="1, 2, 3"), "not four numbers"),
    (row("000003_01_03_015.png", box="1, 2, 3, 4, 5"), "not four numbers"),
    (row("000003_01_03_015.png", box="1, 2, three, 4"), "not four numbers"),
    (row("000003_01_03_015.png", box="1, 2, nan, 4"), "not four numbers"),
    (row("000003_01_03_015.png", box="1, 2, inf, 4"), "not four numbers"),
    (row("000003_01_03_015.png", box=""), "not four numbers"),
    (row("000003_01_03_015.png", box="20, 10, 10, 20"), "no area"),
    (row("000003_01_03_015.png", box="10, 10, 10, 20"), "no area"),
    (row("000003_01_03_015.png", box="50, 50, 90, 60"), "outside of the image"),
    (row("000003_01_03_015.png", box="-9, 5, 20, 20"), "outside of the image"),
    (row("000003_01_03_015.png", box="-4, -4, -1, -1"), "no area"),
    (row("000003_01_03_015.png", size="64"), "size is not two numbers"),
    (row("000003_01_03_015.png", size="0, 64"), "size is not two numbers"),
    (row("000003_01_03_015.png", size="1e300, 64"), "size is not two numbers"),
    (row("000003_01_03_015.png", size="128, 128"), "another size than Image_size"),
    (row("000003_01_03_015.png", kind="9"), "type is not 1 to 8"),
    (row("000003_01_03_015.png", kind="0"), "type is not 1 to 8"),
    (row("000003_01_03_015.png", kind="lung"), "type is not 1 to 8"),
    (row("000003_01_03_015.png", split="4"), "split is not 1, 2 or 3"),
    (row("000003_01_03_015.png", split=""), "split is not 1, 2 or 3"),
    (row("000003_01_03_015.png", slices="16, 18"), "around the key slice"),
    (row("000003_01_03_015.png", slices="15"), "around the key slice"),
    (row("000003_01_03_015.png", slices="0, 99999999"), "around the key slice"),
    (row("000003_01_03_015.png", slices="14.5, 16"), "around the key slice"),
    (row("000003_01_03_015.png", noisy=""), "neither 0 nor 1"),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_bad_row_is_quarantined_and_the_others_are_read(tree: Tree, bad: str, reason: str) -> None:
    tree.table([*ROWS[:4], bad])
    cohort, refused = tree.read()
    assert [key for key, _ in refused] == [bad.split(",")[0]]
    assert reason in refused[0][1]
    assert set(cohort.manifest["patient_id"]) == {"000001", "000002"}
    assert len(cohort.manifest) == 10


def test_a_box_may_reach_over_the_border_by_its_makers_padding_and_is_cut_there(tree: Tree) -> None:
    tree.table([row("000001_01_01_109.png", box="-4.5, 30, 12, 68.5")])
    box = by_id(tree.read()[0])["boxes"]["000001_01_01_109.png"][0]
    assert box == {"label": "lung", "x": 0.0, "y": 30.0, "w": 12.0, "h": 34.0}


def test_noisy_lesions_are_quarantined_unless_they_are_asked_for(tree: Tree) -> None:
    tree.table([*ROWS[:3], row("000003_01_03_015.png", noisy="1")])
    cohort, refused = tree.read()
    assert refused == [("000003_01_03_015.png", "marked as possibly noisy by its authors")]
    assert "000003" not in set(cohort.manifest["patient_id"])
    kept, none = tree.read(noisy_lesions=True)
    assert none == []
    assert "000003" in set(kept.manifest["patient_id"])


def test_a_slice_whose_row_was_refused_is_not_taken_for_a_context_slice(tree: Tree) -> None:
    tree.table([row("000001_02_01_020.png", slices="18, 21"), row("000001_02_01_019.png", box="no box")])
    manifest = tree.read()[0].manifest
    assert [name[-7:-4] for name in manifest["image_id"]] == ["018", "020", "021"]


def test_a_slice_with_a_good_and_a_refused_row_knows_the_good_box_and_nothing_of_other_types(tree: Tree) -> None:
    tree.table([ROWS[0], row("000001_01_01_109.png", box="no box", kind="3")])
    key = by_id(tree.read()[0]).loc["000001_01_01_109.png"]
    assert [box["label"] for box in key["boxes"]] == ["lung"]
    assert key["lung"] == 1.0
    assert key[[name for name in LESION_TYPES if name != "lung"]].isna().all()


def test_a_missing_and_an_empty_file_are_quarantined(tree: Tree) -> None:
    (tree.root / "Images_png/000001_02_01/018.png").unlink()
    (tree.root / "Images_png/000003_01_03/015.png").write_bytes(b"")
    cohort, refused = tree.read()
    assert set(refused) == {
        ("000001_02_01_018.png", "the image file is missing"),
        ("000003_01_03_015.png", "the image file is empty"),
    }
    assert cohort.input_rows == len(ROWS) + 9  # boxes and context slices


def test_a_patient_in_two_splits_is_an_error(tree: Tree) -> None:
    tree.table([*ROWS, row("000001_02_01_019.png", split="1", slices="18, 20")])
    with pytest.raises(UserError, match=r"1 patients are in more than one split(.|\n)*Hint: its split is by patient"):
        tree.read()


def test_the_official_split_is_used_as_it_is(tree: Tree) -> None:
    cohort = tree.read()[0]
    split = split_images(cohort.manifest, cohort.labels, (0.7, 0.1, 0.2), 0)
    assert dict(zip(split["patient_id"], split["split"], strict=True)) == {
        "000001": "test", "000002": "train", "000003": "validate",
    }  # fmt: skip


def test_the_real_header_is_told_where_a_column_is_absent(tree: Tree) -> None:
    tree.table(ROWS, HEADER.replace("Bounding_boxes", "Boxes"))
    with pytest.raises(UserError, match=r"lacks \['Bounding_boxes'\]; its header is \['File_name', 'Patient_index'"):
        tree.read()


def test_the_manifest_is_canonical(tree: Tree, tmp_path: Path) -> None:
    cohort = tree.read()[0]
    write_manifest(tmp_path / "manifest.parquet", cohort.manifest, cohort.labels)
    assert read_labels(tmp_path / "manifest.parquet") == list(LESION_TYPES)
    written = pd.read_parquet(tmp_path / "manifest.parquet").set_index("image_id")
    assert written.loc["000001_01_01_109.png", "boxes"][1]["label"] == "mediastinum"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6), st.sampled_from([",", ", ", " , "]))
def test_a_list_is_read_as_it_was_written_and_only_at_its_length(values: list[float], comma: str) -> None:
    written = pd.Series([comma.join(map(repr, values))])
    assert numbers(written, len(values)).iloc[0].tolist() == pytest.approx(values)
    assert numbers(written, len(values) + 1).isna().all(axis=None)
    if len(values) > 1:
        assert numbers(written, len(values) - 1).isna().all(axis=None)


class TestSlices:
    """The plain folder."""

    def folder(self, root: Path, *places: str) -> Path:
        for place in places:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.arange(100, dtype=np.uint8).reshape(10, 10)).save(root / place)
        return root

    def read(self, root: Path) -> tuple[Cohort, list[tuple[str, str]]]:
        refused = Quarantine("test")
        cohort = read_cohort("slices", Source(root, root), ReadingSettings(), refused)
        return cohort, [(key, reason) for _, key, _, reason in refused.rows]

    def test_the_folder_is_the_patient_and_nothing_else_is_known(self, tmp_path: Path) -> None:
        cohort, refused = self.read(self.folder(tmp_path, "p1/001.png", "p1/002.png", "p2/001.png"))
        manifest = cohort.manifest
        assert manifest["image_id"].tolist() == ["p1_001.png", "p1_002.png", "p2_001.png"]
        assert manifest["patient_id"].tolist() == manifest["study_id"].tolist() == ["p1", "p1", "p2"]
        assert manifest["path"].tolist() == ["p1/001.png", "p1/002.png", "p2/001.png"]
        assert (manifest["height"].tolist(), cohort.labels, refused) == ([10] * 3, [], [])
        assert manifest["boxes"].isna().all()
        write_manifest(tmp_path / "manifest.parquet", manifest, cohort.labels)

    def test_patients_are_dealt_out_whole_though_there_are_no_labels(self, tmp_path: Path) -> None:
        root = self.folder(tmp_path, *(f"p{patient}/{number}.png" for patient in range(10) for number in range(3)))
        cohort = self.read(root)[0]
        split = split_images(cohort.manifest, cohort.labels, (0.6, 0.2, 0.2), 0)
        assert len(split[["patient_id", "split"]].drop_duplicates()) == 10
        assert split.groupby("split")["patient_id"].nunique().to_dict() == {
            name: pytest.approx(share, abs=1) for name, share in {"train": 6, "validate": 2, "test": 2}.items()
        }

    def test_what_lies_elsewhere_or_has_the_same_name_is_quarantined(self, tmp_path: Path) -> None:
        places = ["p1/001.png", "loose.png", "p1/deep/001.png", "a_b/c.png", "a/b_c.png"]
        cohort, refused = self.read(self.folder(tmp_path, *places))
        assert cohort.manifest["path"].tolist() == ["p1/001.png"]
        assert {(key, reason.split()[-1]) for key, reason in refused} == {
            ("loose.png", "patient"), ("p1/deep/001.png", "patient"), ("a_b_c.png", "unique"),
        }  # fmt: skip

    def test_an_empty_folder_is_an_error_with_a_hint(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="no PNG file below"):
            self.read(tmp_path)
