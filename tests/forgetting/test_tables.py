"""The tables: one row each of what they promise, values by hand, common columns, and no crash where little is known."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.forgetting.made_up import made_up_truth, made_up_way, training_labels

from cxrflow.forgetting.measures import WayMeasures
from cxrflow.forgetting.predictions import Truth
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.forgetting.table_rows import MEAN, tail_group
from cxrflow.forgetting.tables import ForgettingFiles, ForgettingTables, forgetting_tables, write_tables

CLASSES = ("No Finding", "Effusion", "Nodule", "Mass", "Hernia", "Never Seen")
PREVALENCES = np.array([0.5, 0.2, 0.1, 0.06, 0.03, 0.01])
SETTINGS = ForgettingSettings(resamples=100, permutations=200, head=200, medium=50)
FALL = np.array([0.1, 0.3, 0.4, 0.6, 0.8, np.nan])
"""Relative loss at the last level, by class; half as much at the second."""


def made_up_measures(seeds: int) -> WayMeasures:
    losses = np.array([0, 0.5, 1])[:, None] * FALL
    values = 0.6 * (1 - losses)[None] * np.linspace(1, 0.95, seeds)[:, None, None]
    return made_up_way(values, 100, 0.005, CLASSES)


@pytest.fixture(scope="module")
def truth() -> Truth:
    found = made_up_truth(600, CLASSES, PREVALENCES)
    found.labels[:, 5] = 0
    return found


def tables_of(truth: Truth, seeds: int, settings: ForgettingSettings = SETTINGS) -> ForgettingTables:
    ways = {"l1": made_up_measures(seeds), "random": made_up_measures(seeds)}
    training = training_labels(900, PREVALENCES)
    training[:, 5] = 0
    return forgetting_tables(ways, truth, training, settings, "demo", True)


@pytest.fixture(scope="module")
def tables(truth: Truth) -> ForgettingTables:
    return tables_of(truth, 3)


def test_every_table_says_whose_it_is(truth: Truth, tables: ForgettingTables) -> None:
    for field in fields(tables):
        table = getattr(tables, field.name)
        assert set(table["cohort"]) == {"demo"}
        assert table["simulated"].all()
        assert set(table["n_patients"]) == {len(set(truth.patient_ids))}
        assert set(table["n_seeds"]) == {3}
        assert table["method"].drop_duplicates().tolist() == ["l1", "random"]


def test_metrics_has_every_class_and_the_mean_at_every_level(truth: Truth, tables: ForgettingTables) -> None:
    table = tables.metrics[tables.metrics["method"] == "l1"]
    assert not table.duplicated(["class", "sparsity", "metric"]).any()
    assert len(table) == (len(CLASSES) + 1) * 3 * 4
    mean = table[(table["class"] == MEAN) & (table["metric"] == "auprc")]
    assert (mean["n_classes"] == 5).all()
    of_classes = table[(table["class"] != MEAN) & (table["metric"] == "auprc")].groupby("sparsity")["value"].mean()
    np.testing.assert_allclose(mean["value"], of_classes)
    effusion = table[table["class"] == "Effusion"]
    assert set(effusion["n_positive"]) == {int(truth.labels[:, 1].sum())}


def test_areas_have_intervals_and_f1_has_none(tables: ForgettingTables) -> None:
    known = tables.metrics[tables.metrics["value"].notna()]
    areas = known["metric"].isin(["auroc", "auprc"])
    assert (known.loc[areas, "low"] < known.loc[areas, "high"]).all()
    assert known.loc[~areas, ["low", "high"]].isna().all(axis=None)
    assert tables.metrics.loc[tables.metrics["class"] == "Never Seen", "value"].isna().all()


def test_forgettability_by_hand(tables: ForgettingTables) -> None:
    table = tables.forgettability[tables.forgettability["method"] == "l1"].set_index("class")
    np.testing.assert_allclose(table["final_change"], -FALL)
    expected = [np.nan, 2 / 3, 2 / 3, 1 / 3, 1 / 3, np.nan]  # levels are 0, 1/3, 2/3
    np.testing.assert_allclose(table["first_drop"], expected)
    assert table["censored"].tolist() == [True, False, False, False, False, False]
    assert table.loc["No Finding", "censored_share"] == 1
    assert np.isnan(table.loc["Never Seen", "censored_share"])
    np.testing.assert_allclose(table["log_frequency"].iloc[:5], np.log(table["train_count"].iloc[:5]))
    assert np.isnan(table.loc["Never Seen", "log_frequency"])
    assert table.loc["No Finding", "cooccurrence"] == 0


def test_groups_of_the_long_tail() -> None:
    found = [tail_group(count, ForgettingSettings()) for count in (1000, 999, 100, 99, 0)]
    assert found == ["head", "medium", "medium", "tail", "tail"]


def test_curves_start_at_no_change(tables: ForgettingTables) -> None:
    table = tables.curves
    assert set(table["metric"]) == {"auprc_change", "auroc_change"}
    start = table[(table["sparsity"] == 0) & (table["class"] != "Never Seen")]
    assert (start["value"] == 0).all()
    assert len(table) == 2 * 2 * 3 * len(CLASSES)


def test_overall_has_the_first_significant_level_once(tables: ForgettingTables) -> None:
    rows = tables.overall[tables.overall["method"] == "l1"]
    assert len(rows) == 2 * 3 * 3
    paired = rows[(rows["test"] == "paired") & (rows["metric"] == "auprc")].sort_values("sparsity")
    assert paired["first"].tolist() == [False, True, False]
    assert (paired["p_holm"].iloc[1:] >= paired["p"].iloc[1:]).all()
    assert np.isnan(paired["p"].iloc[0])


def test_correlations_tell_how_many_classes_took_part(tables: ForgettingTables) -> None:
    table = tables.correlations[tables.correlations["method"] == "l1"]
    drops = table[(table["quantity"] == "first_drop") & (table["against"] == "log_frequency")].set_index("metric")
    assert drops.loc["pearson", ["n_classes", "n_left_out"]].tolist() == [4, 2]
    assert drops.loc["spearman", ["n_classes", "n_left_out"]].tolist() == [5, 1]
    final = table[(table["quantity"] == "final_change") & (table["against"] == "log_frequency")].set_index("metric")
    assert final.loc["spearman", "value"] == pytest.approx(1)
    assert set(table["formula"]) == {"fixed"}


def test_pairs_and_both_formulas(tables: ForgettingTables) -> None:
    pairs = tables.dissimilarity[tables.dissimilarity["method"] == "l1"]
    assert len(pairs) == 10  # five classes have a curve
    first = pairs[(pairs["class_a"] == "No Finding") & (pairs["class_b"] == "Hernia")].iloc[0]
    assert first["value"] == pytest.approx(np.hypot(0.35, 0.7))
    assert first["n_both"] == 0
    assert first["iou_root"] == first["legacy_iou_root"] == 0
    legacy = tables.legacy[tables.legacy["method"] == "l1"]
    assert legacy["formula"].value_counts().to_dict() == {"fixed": 4, "legacy": 4}
    own = tables.correlations[(tables.correlations["quantity"] == "fcd") & (tables.correlations["method"] == "l1")]
    fixed = legacy[legacy["formula"] == "fixed"]
    pd.testing.assert_frame_equal(own.reset_index(drop=True), fixed.reset_index(drop=True))


def test_the_setting_chooses_the_formula(truth: Truth) -> None:
    tables = tables_of(truth, 2, SETTINGS.model_copy(update={"legacy": True}))
    fcd = tables.correlations[tables.correlations["quantity"] == "fcd"]
    assert set(fcd["formula"]) == set(tables.joint_model["formula"]) == {"legacy"}


def test_the_joint_model_has_every_term(tables: ForgettingTables) -> None:
    table = tables.joint_model[tables.joint_model["method"] == "l1"]
    assert table["term"].tolist() == ["intercept", "frequency_difference", "iou_root", "interaction", "r_squared"]
    assert set(table["n_pairs"]) == {10}
    assert set(table["n_left_out"]) == {1}


def test_one_seed_has_intervals_over_patients_and_no_tests(truth: Truth) -> None:
    tables = tables_of(truth, 1)
    assert tables.overall["p"].isna().all()
    assert not tables.overall["first"].any()
    known = tables.curves[(tables.curves["sparsity"] > 0) & tables.curves["value"].notna()]
    assert (known["low"] < known["high"]).all()


def test_the_tables_are_written_as_csv_and_parquet_and_again_the_same(
    truth: Truth, tables: ForgettingTables, tmp_path: Path
) -> None:
    again = tables_of(truth, 3)
    for folder, found in (("one", tables), ("two", again)):
        names = {field.name: tmp_path / folder / f"{field.name}.csv" for field in fields(ForgettingFiles)}
        write_tables(ForgettingFiles(**names), found)
    for field in fields(ForgettingFiles):
        for suffix in (".csv", ".parquet"):
            one, two = (tmp_path / folder / f"{field.name}{suffix}" for folder in ("one", "two"))
            assert one.read_bytes() == two.read_bytes()
