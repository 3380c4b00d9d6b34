import logging

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrflow.cohort.duplicates import duplicates, write_duplicates
from cxrflow.errors import UserError

# image, study, patient, split, file
ROWS = [
    ("a", "s1", "p1", "train", "X"),  # X is in two patients and two splits
    ("b", "s1", "p1", "train", "Y"),
    ("c", "s2", "p2", "test", "X"),
    ("d", "s2", "p2", "test", "Y"),
    ("e", "s3", "p1", "train", "Z"),  # Z is twice in one patient
    ("f", "s3", "p1", "train", "Z"),
    ("g", "s4", "p1", "train", "Z"),
    ("h", "s5", "p3", "test", "X"),  # shares X with s1 and s2, but has a file of its own
    ("i", "s5", "p3", "test", "W"),
    ("j", "s6", "p4", "train", "V"),
]


def tables(rows):
    table = pd.DataFrame(rows, columns=["image_id", "study_id", "patient_id", "split", "sha256"])
    manifest = table[["image_id", "study_id", "patient_id"]]
    return table[["image_id", "sha256"]], manifest.sample(frac=1, random_state=0), table[["image_id", "split"]]


def test_images_that_share_a_file_form_a_group():
    found = duplicates(*tables(ROWS)).query("level == 'image'")
    groups = {tuple(group["image_id"]) for _, group in found.groupby("group")}
    assert groups == {("a", "c", "h"), ("b", "d"), ("e", "f", "g")}
    across = found.set_index("image_id")[["across_splits", "across_patients"]]
    assert across.loc[["a", "b", "c", "d", "h"]].to_numpy().all()
    assert not across.loc[["e", "f", "g"]].to_numpy().any()
    assert found.set_index("image_id").loc["h", ["study_id", "patient_id", "split"]].tolist() == ["s5", "p3", "test"]


def test_groups_are_numbered_in_the_order_of_their_first_image():
    found = duplicates(*tables(ROWS)).query("level == 'image'")
    assert found["group"].tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert found["image_id"].tolist() == list("achbdefg")


def test_studies_are_equal_when_their_sets_of_files_are():
    found = duplicates(*tables(ROWS)).query("level == 'study'")
    assert found[["group", "study_id"]].to_numpy().tolist() == [[0, "s1"], [0, "s2"], [1, "s3"], [1, "s4"]]
    assert found["across_splits"].tolist() == [True, True, False, False]
    assert found["across_patients"].tolist() == [True, True, False, False]
    assert found["image_id"].isna().all()


def test_the_same_study_number_in_two_patients_is_two_studies():
    rows = [("a", "1", "p1", "train", "X"), ("b", "1", "p2", "test", "X")]
    studies = duplicates(*tables(rows)).query("level == 'study'")
    assert studies["patient_id"].tolist() == ["p1", "p2"]
    assert studies["across_splits"].all()


def test_without_duplicates_the_table_is_empty_and_keeps_its_columns(tmp_path):
    full, empty = duplicates(*tables(ROWS)), duplicates(*tables(ROWS[1:3]))
    assert empty.empty
    assert empty.dtypes.equals(full.dtypes)
    write_duplicates(tmp_path / "duplicates.csv", empty)
    assert pd.read_csv(tmp_path / "duplicates.csv").columns.tolist() == full.columns.tolist()


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=14))
def test_both_levels_agree_with_their_definition(pairs):
    rows = [(f"i{n:02d}", f"s{study}", f"p{study // 2}", "train", f"f{file}") for n, (study, file) in enumerate(pairs)]
    found = duplicates(*tables(rows))
    files = [row[4] for row in rows]
    assert set(found["image_id"].dropna()) == {row[0] for row in rows if files.count(row[4]) > 1}
    contents: dict = {}
    for _, study, _, _, file in rows:
        contents.setdefault(study, set()).add(file)
    equal = {frozenset(content): set() for content in contents.values()}
    for study, content in contents.items():
        equal[frozenset(content)].add(study)
    groups = found[found["level"] == "study"].groupby("group")["study_id"].agg(frozenset)
    assert set(groups) == {frozenset(studies) for studies in equal.values() if len(studies) > 1}


def test_an_image_without_a_split_is_an_error():
    index, manifest, split = tables(ROWS)
    with pytest.raises(UserError, match="missing in the manifest or the split"):
        duplicates(index, manifest, split.iloc[1:])


def test_what_crosses_splits_is_warned_of_without_ids(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        write_duplicates(tmp_path / "duplicates.csv", duplicates(*tables(ROWS)))
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "2 groups (5 images) reach over several splits" in messages
    assert "1 groups (2 studies) reach over several splits" in messages
    assert "8 images share their files, in 3 groups" in caplog.text
    assert not any(f"{key}{n}" in caplog.text for key in "ps" for n in range(1, 7))
    csv, parquet = (pd.read_csv(tmp_path / "duplicates.csv"), pd.read_parquet(tmp_path / "duplicates.parquet"))
    assert csv["group"].tolist() == parquet["group"].tolist()


def test_what_stays_within_a_split_is_no_warning(tmp_path, caplog):
    write_duplicates(tmp_path / "duplicates.csv", duplicates(*tables(ROWS[4:7])))
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]
