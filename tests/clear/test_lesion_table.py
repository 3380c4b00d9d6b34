from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrflow.clear.lesion_table import (
    LesionTable,
    lesion_table,
    presence_table,
    read_boxes,
    read_presence,
    row_counts,
    write_boxes,
    write_presence,
)
from cxrflow.errors import UserError


def box(label: str, x: float, y: float, w: float, h: float) -> dict[str, object]:
    return {"label": label, "x": x, "y": y, "w": w, "h": h}


# image, patient, study, split, boxes
SLICES = [
    ("a_1.png", "a", "a_1", "train", [box("lung", 1, 2, 3, 4), box("liver", 10, 20, 5, 5.5)]),
    ("a_2.png", "a", "a_1", "train", None),
    ("a_3.png", "a", "a_2", "train", [box("lung", 7, 7, 2, 2)]),
    ("b_1.png", "b", "b_1", "validate", None),
    ("c_1.png", "c", "c_1", "test", [box("bone", 0, 0, 9, 9)]),
]


@pytest.fixture
def manifest() -> pd.DataFrame:
    rows = [(image, patient, study, boxes) for image, patient, study, _, boxes in SLICES]
    return pd.DataFrame(rows, columns=["image_id", "patient_id", "study_id", "boxes"])


@pytest.fixture
def split() -> pd.DataFrame:
    return pd.DataFrame([(one[0], one[3]) for one in SLICES], columns=["image_id", "split"])


def test_boxes_are_found_by_image_as_corners(manifest: pd.DataFrame) -> None:
    table = lesion_table(manifest)
    assert table.boxes_of("a_1.png").tolist() == [[1, 2, 4, 6], [10, 20, 15, 25.5]]
    assert table.boxes_of("c_1.png").tolist() == [[0, 0, 9, 9]]
    assert table.boxes_of("a_2.png").shape == (0, 4)
    assert table.key_slices(["b_1.png", "a_3.png", "nowhere.png"]).tolist() == [-1, 1, -1]


def test_a_manifest_without_boxes_gives_an_empty_table(manifest: pd.DataFrame) -> None:
    table = lesion_table(manifest.assign(boxes=None))
    assert table.boxes.shape == (0, 4)
    assert table.key_slices(["a_1.png"]).tolist() == [-1]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 400)), max_size=30))
def test_the_table_finds_what_a_search_through_all_rows_finds(rows: list[tuple[str, int]]) -> None:
    boxes = np.array([[x, 1, x + 5, 9] for _, x in rows], dtype=np.float32).reshape(-1, 4)
    table = LesionTable.of([name for name, _ in rows], boxes)
    for image in "abcdefg":
        assert table.boxes_of(image)[:, 0].tolist() == [x for name, x in rows if name == image]


def test_a_drawn_box_is_one_of_the_slices_own_and_each_as_likely(manifest: pd.DataFrame) -> None:
    table = lesion_table(manifest)
    drawn = table.draw(np.array([0, 1, 2] * 2000), np.random.default_rng(0)).reshape(2000, 3, 4)
    assert (drawn[:, 1] == [7, 7, 9, 9]).all()
    assert (drawn[:, 2] == [0, 0, 9, 9]).all()
    assert set(drawn[:, 0, 0].tolist()) == {1.0, 10.0}
    assert abs((drawn[:, 0, 0] == 1).mean() - 0.5) < 0.05


def test_boxes_are_read_as_they_were_written(manifest: pd.DataFrame, tmp_path: Path) -> None:
    table = lesion_table(manifest)
    write_boxes(tmp_path / "boxes.csv", table)
    lines = (tmp_path / "boxes.csv").read_text().splitlines()
    assert lines[:3] == ["File_name,Bounding_boxes", 'a_1.png,"1,2,4,6"', 'a_1.png,"10,20,15,25.5"']
    read = read_boxes(tmp_path / "boxes.csv")
    assert read.images == table.images
    assert np.array_equal(read.boxes, table.boxes)
    assert np.array_equal(read.starts, table.starts)


@pytest.mark.parametrize("bad", ["1,2,3", "1,2,3,4,5", "1,two,3,4", "5,2,3,4", "1,2,1,4", "", "1,2,nan,4", "1,2,inf,4"])
def test_a_row_without_a_box_is_an_error_that_names_its_line(tmp_path: Path, bad: str) -> None:
    (tmp_path / "boxes.csv").write_text(f'File_name,Bounding_boxes\na_1.png,"1, 2, 4, 6"\na_2.png,"{bad}"\n')
    with pytest.raises(UserError, match=r"1 rows of .*boxes\.csv can't be used, first in line 3"):
        read_boxes(tmp_path / "boxes.csv")


def test_the_table_of_presence_marks_key_slices(manifest: pd.DataFrame, tmp_path: Path) -> None:
    write_presence(tmp_path / "presence.csv", manifest)
    assert (tmp_path / "presence.csv").read_text().splitlines()[:3] == [
        "image,lesion_present,patient_id", "a_1.png,1,a", "a_2.png,0,a",
    ]  # fmt: skip
    pd.testing.assert_frame_equal(read_presence(tmp_path / "presence.csv"), presence_table(manifest), check_dtype=False)


@pytest.mark.parametrize("bad", ["a_2.png,yes,a", "a_2.png,,a", "a_1.png,1,a", "a_2.png,1,"])
def test_a_bad_row_of_presence_is_an_error(tmp_path: Path, bad: str) -> None:
    (tmp_path / "presence.csv").write_text(f"image,lesion_present,patient_id\na_1.png,1,a\n{bad}\n")
    with pytest.raises(UserError, match="first in line 3"):
        read_presence(tmp_path / "presence.csv")


def test_rows_are_boxes_not_slices(manifest: pd.DataFrame, split: pd.DataFrame) -> None:
    table = row_counts(manifest, split).set_index(["attribute", "level", "split"])["count"]
    assert table["boxes", "all", "all"] == 4
    assert table["slices", "key", "all"] == 3
    assert table["slices", "with several boxes", "train"] == 1
    assert table["slices", "context", "validate"] == 1
    assert table["boxes", "lung", "train"] == 2
    assert table["patients", "all", "all"] == 3
    assert table["patients", "with a key slice", "validate"] == 0
    assert table["studies", "all", "train"] == 2


def test_every_level_adds_up_over_the_splits(manifest: pd.DataFrame, split: pd.DataFrame) -> None:
    table = row_counts(manifest, split).pivot_table(
        index=["attribute", "level"], columns="split", values="count", fill_value=0
    )
    assert (table[["train", "validate", "test"]].sum(axis=1) == table["all"]).all()
