import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrflow.cohort.table1 import ALL, COLUMNS, table1
from cxrflow.cohort.tables import SPLITS
from cxrflow.errors import UserError

# image, patient, study, split, view, sex, age, Edema, Mass
ROWS = [
    ("a", "p", "1", "train", "PA", "F", 40.0, 1.0, 1.0),
    ("b", "p", "1", "train", "LATERAL", None, 40.0, 1.0, np.nan),
    ("c", "p", "2", "train", "AP", "F", 44.0, -1.0, np.nan),
    ("d", "q", "3", "train", "AP", "M", 60.0, 0.0, np.nan),
    ("e", "r", "4", "train", "PA", "F", 80.0, np.nan, np.nan),
    ("f", "r", "5", "train", "PA", "M", None, np.nan, np.nan),
    ("g", "s", "6", "test", "PA", None, None, 1.0, np.nan),
    ("h", "t", "7", "test", None, "M", 30.0, 0.0, np.nan),
]
NAMES = ["image_id", "patient_id", "study_id", "split", "view", "sex", "age", "Edema", "Mass"]


def made(**changes):
    table = pd.DataFrame(ROWS, columns=NAMES).assign(**changes)
    return table.drop(columns="split"), table[["image_id", "patient_id", "study_id", "split"]]


@pytest.fixture(scope="module")
def table():
    return table1(*made(), ["Edema", "Mass"]).set_index(["attribute", "level", "split"])


@pytest.mark.parametrize(
    ("attribute", "level", "split", "count", "percent"),
    [
        ("patients", "", "train", 3, 60),
        ("patients", "", "all", 5, 100),
        ("studies", "", "train", 5, 71.429),
        ("images", "", "test", 2, 25),
        ("images", "", "validate", 0, 0),
        ("view", "AP", "train", 2, 33.333),
        ("view", "unknown", "test", 1, 50),
        ("view", "PA", "all", 4, 50),
        ("sex", "F", "train", 1, 33.333),  # p: a row without a sex does not contradict the others
        ("sex", "M", "train", 1, 33.333),
        ("sex", "inconsistent", "train", 1, 33.333),  # r is F in one row and M in another
        ("sex", "unknown", "test", 1, 50),
        ("sex", "M", "all", 2, 40),
        ("age", "unknown", "train", 0, 0),
        ("age", "unknown", "all", 1, 20),
        ("Edema", "present", "train", 2, 33.333),
        ("Edema", "uncertain", "all", 1, 12.5),
        ("Edema", "absent", "test", 1, 50),
        ("Edema", "not mentioned", "train", 2, 33.333),
        ("Mass", "uncertain", "all", 0, 0),
        ("Mass", "not mentioned", "all", 7, 87.5),
    ],
)
def test_counts_and_percents_by_hand(table, attribute, level, split, count, percent):
    row = table.loc[(attribute, level, split)]
    assert row["count"] == count
    assert row["percent"] == pytest.approx(percent, abs=1e-9)


@pytest.mark.parametrize(
    ("level", "split", "years"),
    [
        ("median", "train", 60),  # patients of 40 (not 44, when they came again), 60 and 80
        ("lower quartile", "train", 50),
        ("upper quartile", "train", 70),
        ("median", "test", 30),
        ("median", "all", 50),
        ("lower quartile", "all", 37.5),
        ("upper quartile", "all", 65),
    ],
)
def test_ages_are_those_of_patients_when_first_seen(table, level, split, years):
    row = table.loc[("age", level, split)]
    assert row["value"] == years
    assert pd.isna(row["count"])
    assert pd.isna(row["percent"])


def test_an_empty_split_has_counts_but_neither_percents_nor_ages(table):
    empty = table.xs("validate", level="split")
    assert (empty["count"].dropna() == 0).all()
    assert empty.drop(index=["patients", "studies", "images"], level="attribute")["percent"].isna().all()
    assert empty["value"].isna().all()


def test_percents_say_what_they_refer_to(table):
    units = table.groupby(level="attribute")["percent_of"].first()
    assert units[["sex", "age"]].eq("patients").all()
    assert units[["view", "Edema", "Mass"]].eq("images").all()
    assert units["studies"] == "all studies"


def test_rows_stay_together_by_attribute_and_level_in_the_order_of_splits():
    table = table1(*made(), ["Edema"])
    assert list(table.columns) == COLUMNS
    assert table["split"].tolist() == [*SPLITS, ALL] * (len(table) // 4)
    assert not table.duplicated(["attribute", "level", "split"]).any()


def test_a_cohort_without_labels_sexes_and_ages_is_counted_all_the_same():
    table = table1(*made(sex=None, age=None), []).set_index(["attribute", "level", "split"])
    assert set(table.index.get_level_values("attribute")) == {"patients", "studies", "images", "view", "sex", "age"}
    assert table.loc[("sex", "unknown", "all"), "count"] == 5
    assert table.loc[("age", "unknown", "train"), "percent"] == 100
    assert table["value"].isna().all()


def test_an_image_without_a_split_is_an_error_with_a_hint():
    manifest, split = made()
    with pytest.raises(UserError, match="3 of 8 images have no split") as caught:
        table1(manifest, split.iloc[3:], ["Edema"])
    assert "Hint" in str(caught.value)


@given(st.integers(0, 60), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_levels_of_an_attribute_add_up_and_splits_add_up_to_all(images, seed):
    random = np.random.default_rng(seed)
    patient = random.integers(0, 12, images)
    manifest = pd.DataFrame({"image_id": np.arange(images).astype(str), "patient_id": patient.astype(str)})
    manifest["study_id"] = (patient * 2 + random.integers(0, 2, images)).astype(str)
    for name, values in {"view": ["PA", "AP", None], "sex": ["F", "M", None]}.items():
        manifest[name] = random.choice(np.array(values, dtype=object), images)
    manifest["age"] = random.choice([20.0, 50.0, np.nan], images)
    manifest["Edema"] = random.choice([1.0, 0.0, -1.0, np.nan], images)
    split = manifest[["image_id"]].assign(split=np.array(SPLITS)[patient % 3])
    table = table1(manifest, split, ["Edema"]).dropna(subset="count")
    wide = table.pivot_table(index=["attribute", "level"], columns="split", values="count")
    assert (wide[list(SPLITS)].sum(axis=1) == wide[ALL]).all()
    totals = wide.groupby(level="attribute").sum()
    for attribute, unit in {"view": "images", "Edema": "images", "sex": "patients"}.items():
        if images:
            assert totals.loc[attribute].tolist() == totals.loc[unit].tolist()
