import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrflow.cohort.splits import assert_disjoint, split_images
from cxrflow.errors import UserError

LABELS = ["Common", "Rare"]
SHARES = (0.7, 0.1, 0.2)


def manifest(patients: int, seed: int, official: bool = False) -> pd.DataFrame:
    """Make patients with one to four images each; one in five patients has Common, one in fifty Rare."""
    random = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), random.integers(1, 5, patients))
    chance = random.random((patients, 2)) < (0.2, 0.02)
    table = pd.DataFrame({"patient_id": patient.astype(str), "image_id": np.arange(len(patient)).astype(str)})
    table["study_id"] = table["image_id"]
    table[LABELS] = chance[patient].astype(float)
    table["official_split"] = np.where(patient % 2 == 0, "train", "test") if official else None
    return table


@given(st.integers(1, 300), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_no_patient_is_ever_in_two_splits(patients, seed):
    assert_disjoint(split_images(manifest(patients, seed), LABELS, SHARES, seed))


def test_every_split_gets_its_share_of_patients_and_of_the_rare_label():
    table = manifest(5000, 0)
    split = split_images(table, LABELS, SHARES, 3).merge(table)
    patients = split.groupby("patient_id").agg({"split": "first", "Rare": "max"})
    for part in (patients, patients[patients["Rare"] == 1]):
        shares = part["split"].value_counts(normalize=True)
        assert np.allclose(shares[["train", "validate", "test"]], SHARES, atol=0.02)


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_rows():
    table = manifest(200, 0)
    first = split_images(table, LABELS, SHARES, 1)
    shuffled = split_images(table.sample(frac=1, random_state=4), LABELS, SHARES, 1).sort_index()
    pd.testing.assert_frame_equal(first, shuffled)
    assert not first["split"].equals(split_images(table, LABELS, SHARES, 2)["split"])


def test_an_official_split_is_taken_as_it_is():
    table = manifest(50, 0)
    table["official_split"] = np.array(["train", "validate", "test"])[table["patient_id"].astype(int) % 3]
    assert split_images(table, LABELS, SHARES, 0)["split"].equals(table["official_split"].rename("split"))


def test_a_validation_part_that_the_official_split_lacks_is_made_from_training_patients():
    table = manifest(2000, 0, official=True)
    split = split_images(table, LABELS, SHARES, 0)
    assert_disjoint(split)
    assert (split["split"] == "test").equals(table["official_split"] == "test")
    fitted = split[split["split"] != "test"].drop_duplicates("patient_id")["split"].value_counts(normalize=True)
    assert np.allclose(fitted[["train", "validate"]], [0.7 / 0.8, 0.1 / 0.8], atol=0.02)


@pytest.mark.parametrize(("role", "made"), [("test", "validate"), ("validate", "test")])
def test_an_official_valid_part_serves_as_the_configuration_says(role, made):
    table = manifest(2000, 0, official=True).replace({"official_split": {"test": "valid"}})
    split = split_images(table, LABELS, SHARES, 0, valid=role)
    assert (split["split"] == role).equals(table["official_split"] == "valid")
    assert set(split["split"]) == {"train", role, made}


def test_official_and_made_splits_are_not_mixed():
    table = manifest(50, 0, official=True)
    table.loc[3, "official_split"] = None
    with pytest.raises(UserError, match=r"1 of .* images have no official split"):
        split_images(table, LABELS, SHARES, 0)


def test_a_patient_in_two_splits_is_an_error_that_names_no_patient():
    split = pd.DataFrame(
        {"image_id": ["1", "2"], "study_id": ["1", "2"], "patient_id": ["99", "99"], "split": ["train", "test"]}
    )
    with pytest.raises(UserError, match="1 values of patient_id") as caught:
        assert_disjoint(split)
    assert "99" not in str(caught.value)


def test_the_counts_per_split_are_those_of_distinct_ids():
    split = pd.DataFrame(
        {
            "image_id": list("abc"),
            "study_id": list("xxy"),
            "patient_id": list("ppq"),
            "split": ["train", "train", "test"],
        }
    )
    counts = assert_disjoint(split)["counts"]
    assert counts["train"] == {"image_id": 2, "patient_id": 1, "study_id": 1}
    assert counts["validate"] == {"image_id": 0, "patient_id": 0, "study_id": 0}
