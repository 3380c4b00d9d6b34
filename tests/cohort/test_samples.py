import numpy as np
import pandas as pd
import pytest

from cxrflow.cohort.samples import load_samples
from cxrflow.cohort.table1 import table1
from cxrflow.cohort.tables import MANIFEST, write_manifest, write_reports, write_split
from cxrflow.errors import UserError


@pytest.fixture
def tables(tmp_path):
    count = 4
    manifest = pd.DataFrame({name: [None] * count for name in MANIFEST.names})
    manifest["image_id"], manifest["patient_id"], manifest["study_id"] = list("dcba"), list("ppqr"), list("1123")
    manifest["view"], manifest["path"], manifest["height"], manifest["width"] = "PA", "x.jpg", 4, 4
    manifest["Edema"], manifest["Mass"] = [1.0, -1.0, 0.0, np.nan], [np.nan] * 4
    write_manifest(tmp_path / "manifest.parquet", manifest, ["Edema", "Mass"])
    split = manifest[["image_id", "patient_id", "study_id"]].assign(split=["train", "train", "validate", "test"])
    write_split(tmp_path / "split.parquet", split)
    reports = pd.DataFrame({"study_id": list("12"), "patient_id": list("pq"), "text": ["one", "two"]})
    write_reports(tmp_path / "reports.parquet", reports.assign(findings="", impression="", other=""))
    return [tmp_path / f"{name}.parquet" for name in ("manifest", "split", "reports")]


@pytest.mark.parametrize(("policy", "expected"), [("zero", [0, 0, 1]), ("one", [0, 1, 1]), ("ignore", [0, np.nan, 1])])
def test_uncertain_labels_follow_the_policy_and_unmentioned_ones_are_absent(tables, policy, expected):
    samples = load_samples(*tables, labels=["Edema"], uncertain=policy)
    assert samples["image_id"].tolist() == list("bcd")  # image a has no report
    np.testing.assert_array_equal(samples["Edema"], expected)


def test_a_policy_may_differ_from_label_to_label(tables):
    def edema(policy):
        return load_samples(*tables, labels=["Edema"], uncertain=policy)["Edema"].iloc[1]

    assert edema({"Edema": "one", "other": "zero"}) == 1
    assert np.isnan(edema({"Mass": "one", "other": "ignore"}))
    assert edema({"Mass": "one"}) == 0


def test_images_that_were_not_decoded_are_left_out(tables, tmp_path):
    pd.DataFrame({"image_id": ["d"]}).to_parquet(tmp_path / "index.parquet")
    assert load_samples(*tables, labels=[], store_index=tmp_path / "index.parquet")["image_id"].tolist() == ["d"]


def test_an_unknown_label_names_the_known_ones(tables):
    with pytest.raises(UserError, match="Edema, Mass"):
        load_samples(*tables, labels=["Pneumonia"])


def test_table1_counts_ids_once_and_label_values_apart(tables):
    counts = table1(pd.read_parquet(tables[0]), pd.read_parquet(tables[1]), ["Edema"])
    value = counts.set_index(["attribute", "level", "split"])["count"]
    assert value["patients", "", "train"] == 1
    assert value["images", "", "train"] == 2
    assert value["Edema", "uncertain", "train"] == 1
    assert value["Edema", "not mentioned", "test"] == 1
