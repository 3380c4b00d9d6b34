import importlib.util
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxrflow.cohort.adapters.nih import (
    NIH_LABELS,
    ages,
    image_files,
    label_values,
    read_box_list,
    read_entries,
    with_findings,
)
from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.adapters.reading import Cohort, read_cohort
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.tables import write_manifest
from cxrflow.errors import UserError

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
ROWS = [
    "00000001_000.png,Cardiomegaly|Emphysema,0,1,57,M,PA,2682,2749,0.143,0.143",
    "00000001_001.png,No Finding,1,1,58,M,AP,2894,2729,0.143,0.143",
    "00000002_000.png,Pleural_Thickening,0,2,80,F,PA,2500,2048,0.171,0.171",
    "00000003_000.png,Infiltration,0,3,74,F,AP,2500,2048,0.168,0.168",
]
TRAIN = ["00000001_000.png", "00000001_001.png"]
TEST = ["00000002_000.png", "00000003_000.png"]


class Tree:
    """The folders of a copy of ChestX-ray14, as its archives unpack."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.table(ROWS)
        self.lists(TRAIN, TEST)
        for place, names in (("images_001/images", TRAIN), ("images_012/images", TEST)):
            for name in names:
                self.image(f"{place}/{name}")

    def table(self, rows: list[str], header: str = HEADER, name: str = "Data_Entry_2017_v2020.csv") -> None:
        (self.root / name).write_text("\n".join([header, *rows]) + "\n")

    def lists(self, train: list[str], test: list[str]) -> None:
        (self.root / "train_val_list.txt").write_text("\n".join(train) + "\n")
        (self.root / "test_list.txt").write_text("\n".join(test))

    def boxes(self, *rows: str) -> None:
        text = "\n".join(["Image Index,Finding Label,Bbox [x,y,w,h],,,", *rows]) + "\n"
        (self.root / "BBox_List_2017.csv").write_text(text)

    def image(self, path: str, width: int = 4, height: int = 4) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (width, height)).save(self.root / path)

    def read(self, long_tail: Path | None = None) -> tuple[Cohort, list[tuple[str, str, str]]]:
        refused = Quarantine("test")
        source = Source(self.root, self.root, long_tail=long_tail)
        cohort = read_cohort("nih", source, ReadingSettings(), refused)
        return cohort, [(file, row, reason) for file, row, _, reason in refused.rows]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def installed(name: str) -> Path:
    spec = importlib.util.find_spec("torchxrayvision")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data" / name


def test_every_label_is_present_or_absent_and_never_unknown(tree: Tree) -> None:
    manifest = tree.read()[0].manifest
    assert not manifest[list(NIH_LABELS)].isna().any(axis=None)
    positive = [{label for label in NIH_LABELS if row[label] == 1.0} for _, row in manifest.iterrows()]
    assert positive == [{"Cardiomegaly", "Emphysema"}, {"No Finding"}, {"Pleural_Thickening"}, {"Infiltration"}]


def test_ids_paths_views_sex_age_and_the_official_split(tree: Tree) -> None:
    cohort, refused = tree.read()
    first, second, third, _ = cohort.manifest.to_dict("records")
    assert (first["image_id"], first["patient_id"], first["study_id"]) == (
        "00000001_000.png",
        "00000001",
        "00000001_000",
    )
    assert (second["study_id"], second["view"], second["age"], second["sex"]) == ("00000001_001", "AP", 58, "M")
    assert (first["path"], third["path"]) == (
        "images_001/images/00000001_000.png",
        "images_012/images/00000002_000.png",
    )
    assert cohort.manifest["official_split"].tolist() == ["train", "train", "test", "test"]
    assert (cohort.input_rows, len(cohort.reports), refused) == (4, 0, [])


def test_the_study_is_the_follow_up_number_which_need_not_be_the_images_number(tree: Tree) -> None:
    # So it is for a fifth of the real rows, e.g. patient 3.
    tree.table([*ROWS[:3], ROWS[3].replace("Infiltration,0,3", "Infiltration,7,3")])
    assert tree.read()[0].manifest["study_id"].iloc[3] == "00000003_007"


def test_boxes_and_size_of_a_published_png_are_as_published_not_those_of_the_radiograph(tree: Tree) -> None:
    tree.image("images_012/images/00000003_000.png", 1024, 1024)
    tree.boxes("00000003_000.png,Infiltrate,256,512,128,64.5", "00000003_000.png,Mass,1,2,3,4")
    row = tree.read()[0].manifest.iloc[3]
    assert (row["height"], row["width"]) == (1024, 1024)
    assert row["boxes"] == [
        {"label": "Infiltration", "x": 256.0, "y": 512.0, "w": 128.0, "h": 64.5},
        {"label": "Mass", "x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0},
    ]


def test_boxes_of_a_resized_copy_lie_on_the_same_part_of_the_chest(tree: Tree) -> None:
    tree.image("images_012/images/00000003_000.png", width=512, height=256)
    tree.boxes("00000003_000.png,Mass,256,512,128,64")
    row = tree.read()[0].manifest.iloc[3]
    assert (row["height"], row["width"]) == (256, 512)
    assert row["boxes"] == [{"label": "Mass", "x": 128.0, "y": 128.0, "w": 64.0, "h": 16.0}]


def test_a_file_that_is_no_image_is_quarantined(tree: Tree) -> None:
    (tree.root / "images_012/images/00000003_000.png").write_text("moved to another server")
    cohort, refused = tree.read()
    assert [(row, "not a JPEG, PNG or DICOM" in reason) for _, row, reason in refused] == [("00000003_000.png", True)]
    assert len(cohort.manifest) == 3


def test_a_box_with_an_unknown_label_or_a_side_that_is_no_number_is_quarantined(tree: Tree) -> None:
    tree.boxes("00000001_000.png,Granuloma,1,2,3,4", "00000001_001.png,Mass,1,2,,4", "00000002_000.png,Mass,1,2,3,4")
    cohort, refused = tree.read()
    assert [(file, row) for file, row, _ in refused] == [
        ("BBox_List_2017.csv", "00000001_000.png"), ("BBox_List_2017.csv", "00000001_001.png"),
    ]  # fmt: skip
    assert cohort.manifest["boxes"].isna().tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ("header", "ending"), [(HEADER + ",", ","), (HEADER, ","), (HEADER.replace("Gender", "Sex") + ",", ",")]
)
def test_older_files_with_a_comma_at_the_end_of_each_line_are_read_alike(tree: Tree, header: str, ending: str) -> None:
    expected = tree.read()[0].manifest
    (tree.root / "Data_Entry_2017_v2020.csv").unlink()
    tree.table([row + ending for row in ROWS], header, "Data_Entry_2017.csv")
    pd.testing.assert_frame_equal(tree.read()[0].manifest, expected)


def test_images_may_lie_in_one_flat_folder_and_lists_have_the_mirrors_names(tree: Tree) -> None:
    (tree.root / "images").mkdir()
    for file in sorted(tree.root.glob("images_*/images/*.png")):
        file.rename(tree.root / "images" / file.name)
    for name in ("train_val_list", "test_list"):
        (tree.root / f"{name}.txt").rename(tree.root / f"{name}_NIH.txt")
    cohort, refused = tree.read()
    assert cohort.manifest["path"].tolist() == [f"images/{name}" for name in (*TRAIN, *TEST)]
    assert refused == []


def test_other_folders_and_files_are_no_images(tree: Tree) -> None:
    tree.image("images_old/images/00000009_000.png")
    (tree.root / "images_001/images/notes.txt").touch()
    assert set(image_files(tree.root)) == {*TRAIN, *TEST}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("00000003_000.png,Infiltration|Granuloma,0,3,74,F,AP,1,1,1,1", "a finding is not one of the 15 labels"),
        ("00000003_000.png,No Finding|Mass,0,3,74,F,AP,1,1,1,1", "contradicts them"),
        ("00000003_000.png,,0,3,74,F,AP,1,1,1,1", "a finding is not one of the 15 labels"),
        ("00000003_000.png,Mass,0,4,74,F,AP,1,1,1,1", "do not belong together"),
        ("00000003_000.png,Mass,first,3,74,F,AP,1,1,1,1", "do not belong together"),
        ("00000003_000.png,Mass,,3,74,F,AP,1,1,1,1", "do not belong together"),
        ("../00000003_000.png,Mass,0,3,74,F,AP,1,1,1,1", "do not belong together"),
        ("00000009_000.png,Mass,0,9,74,F,AP,1,1,1,1", "neither official list"),
    ],
)
def test_a_bad_row_is_quarantined_and_the_others_are_read(tree: Tree, row: str, reason: str) -> None:
    tree.table([*ROWS[:3], row])
    cohort, refused = tree.read()
    assert [(file, key) for file, key, _ in refused] == [("Data_Entry_2017_v2020.csv", row.split(",")[0])]
    assert reason in refused[0][2]
    assert (len(cohort.manifest), cohort.input_rows) == (3, 4)


def test_an_image_in_both_lists_a_repeated_one_a_missing_and_an_empty_file_are_quarantined(tree: Tree) -> None:
    tree.lists([*TRAIN, TEST[0]], TEST)
    tree.table([*ROWS, ROWS[3], "00000004_000.png,Mass,0,4,74,F,AP,1,1,1,1"])
    tree.lists([*TRAIN, TEST[0], "00000004_000.png"], TEST)
    (tree.root / "images_001/images/00000001_001.png").write_bytes(b"")
    cohort, refused = tree.read()
    assert {(row, reason) for _, row, reason in refused} == {
        ("00000002_000.png", "the image is in both official lists"),
        ("00000003_000.png", "the image's id is not unique"),
        ("00000004_000.png", "the image file is missing"),
        ("00000001_001.png", "the image file is empty"),
    }
    assert cohort.manifest["image_id"].tolist() == ["00000001_000.png"]


def test_errors_show_the_real_header_and_name_the_missing_file(tree: Tree) -> None:
    tree.table(ROWS, HEADER.replace("Finding Labels", "Labels"))
    with pytest.raises(UserError, match=r"lacks \['Finding Labels'\]; its header is \['Image Index', 'Labels'"):
        tree.read()
    tree.table(ROWS, HEADER.replace("Patient Gender", "Gender"))
    with pytest.raises(UserError, match=r"none of the columns .*its header is .*'Gender'"):
        tree.read()
    tree.table(ROWS)
    (tree.root / "test_list.txt").unlink()
    with pytest.raises(UserError, match=r"test_list\.txt is missing"):
        tree.read()


def test_ages_are_years_and_impossible_ones_are_empty_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    written = pd.Series(["58", "058Y", "011M", "365D", "411", "unknown", None, "0"])
    with caplog.at_level("WARNING"):
        years = ages(written).tolist()
    assert years[:4] == [58, 58, pytest.approx(11 / 12), pytest.approx(1, abs=0.01)]
    assert pd.isna(years[4:7]).all()
    assert years[7] == 0
    assert "3 of 8 ages" in caplog.text


@given(st.sets(st.sampled_from([label for label in NIH_LABELS if label != "No Finding"]), min_size=1))
def test_labels_say_exactly_the_joined_findings(findings: set[str]) -> None:
    values = label_values("|".join(sorted(findings)))
    assert values is not None
    assert {label for label, value in zip(NIH_LABELS, values, strict=True) if value == 1.0} == findings
    assert set(values) <= {0.0, 1.0}


def test_the_manifest_is_canonical(tree: Tree, tmp_path: Path) -> None:
    tree.image("images_012/images/00000003_000.png", 1024, 1024)
    tree.boxes("00000003_000.png,Mass,1,2,3,4")
    cohort, _ = tree.read()
    write_manifest(tmp_path / "manifest.parquet", cohort.manifest, cohort.labels)
    back = pd.read_parquet(tmp_path / "manifest.parquet")
    assert back["boxes"].iloc[3][0] == {"label": "Mass", "x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0}


def test_the_real_table_has_its_published_counts() -> None:
    refused = Quarantine("test")
    images, rows = read_entries(installed("Data_Entry_2017_v2020.csv.gz"), refused)
    images = with_findings(images, "Data_Entry_2017_v2020.csv", refused)
    assert (rows, len(images), refused.rows) == (112_120, 112_120, [])
    assert images["patient_id"].nunique() == 30_805
    counts = {label: int(images[label].sum()) for label in ("No Finding", "Infiltration", "Pneumonia", "Hernia")}
    assert counts == {"No Finding": 60_361, "Infiltration": 19_894, "Pneumonia": 1_431, "Hernia": 227}
    assert images["view"].value_counts().to_dict() == {"PA": 67_310, "AP": 44_810}
    assert images["age"].max() == 95
    boxes = read_box_list(installed("BBox_List_2017.csv.gz"), set(images["image_id"]), NIH_LABELS, refused)
    assert (len(boxes), sum(len(found) for found in boxes.values()), refused.rows) == (880, 984, [])
    edges = [float(str(box["x"])) + float(str(box["w"])) for found in boxes.values() for box in found]
    assert max(edges) <= 1024
