"""Intervals cover the truth as often as they say; seeds are averaged, not stacked; differences are paired."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from cxrflow.igcl.figures import plot_label_fractions
from cxrflow.igcl.measures import MCC, Key, Measures, differences_table, measures_of
from cxrflow.igcl.roc_figure import plot_roc
from cxrflow.igcl.test_split import TestSplit
from cxrflow.igcl.transfer_settings import NO_FINDING
from cxrflow.label_measures import AUROC
from cxrflow.measured import MEAN, measures_table
from cxrflow.metrics import auroc, interval, over_resamples, patient_draws, resample_weights

LABELS = ["Edema", "Effusion", NO_FINDING]
PER_PATIENT = 2


def split_of(rng: np.random.Generator, patients: int = 60, resamples: int = 200) -> TestSplit:
    """A validate and a test split of two radiographs per patient, with random labels."""
    truth = {}
    for split in ("validate", "test"):
        names = [f"{split}{number}" for number in range(PER_PATIENT * patients)]
        table = pd.DataFrame(rng.integers(0, 2, (len(names), len(LABELS))).astype(float), names, LABELS)
        table.insert(0, "patient_id", [f"{split}{number // PER_PATIENT}" for number in range(len(names))])
        truth[split] = table.rename_axis("image_id")
    return TestSplit(truth, LABELS, *patient_draws(truth["test"]["patient_id"], resamples, 0))


def predictions_of(test: TestSplit, rng: np.random.Generator, skill: float, seeds: int = 2) -> pd.DataFrame:
    """Scores that know the labels as well as `skill` says, from 1 % of the labels; seeds have scales of their own."""
    parts = []
    for seed in range(seeds):
        for split, truth in test.truth.items():
            scores = skill * truth[LABELS] + rng.normal(size=truth[LABELS].shape)
            about = {"split": split, "mode": "linear", "fraction": 0.01, "shots": np.nan, "seed": seed}
            parts.append((10**seed * scores).reset_index().assign(train_patients=3, **about))
    return pd.concat(parts).sample(frac=1, random_state=0)


def binormal(rng: np.random.Generator, patients: int, runs: int, gap: float) -> tuple[NDArray, NDArray, NDArray]:
    """Patients, outcomes, and scores of several runs (runs, N) that share what an image shows: true AUROC by `gap`."""
    patient = np.repeat(np.arange(patients), PER_PATIENT)
    outcome = (rng.random(patients) < 0.4)[patient].astype(float)
    shown = gap * outcome + rng.normal(size=len(outcome))
    return patient, outcome, shown + 0.3 * rng.normal(size=(runs, len(outcome)))


def test_the_interval_of_the_mean_over_runs_covers_the_truth_as_often_as_it_says() -> None:
    rng, gap, covered, stacked, count = np.random.default_rng(0), 1.2, 0, 0, 250
    true = norm.cdf(gap / np.sqrt(2 * (1 + 0.3**2)))
    for _ in range(count):
        patient, outcome, scores = binormal(rng, 60, 3, gap)
        weights = resample_weights(patient, 200, 0)
        mean = np.mean([over_resamples(auroc, outcome, score, weights) for score in scores], axis=0)
        bounds = interval(float(np.mean([auroc(outcome, score)[0] for score in scores])), mean)
        covered += bounds.low <= true <= bounds.high
        again, every = np.tile(outcome, 3), scores.ravel()  # as released: all runs as if they were other images
        alone = resample_weights(np.arange(len(again)), 200, 0)
        low, high = np.percentile(over_resamples(auroc, again, every, alone), [2.5, 97.5])
        stacked += low <= true <= high
    assert covered / count == pytest.approx(0.95, abs=0.04)
    assert stacked / count < 0.8, "stacked runs claim to know more than they do"


def test_a_measure_is_the_mean_over_seeds_and_means_leave_no_finding_out() -> None:
    rng = np.random.default_rng(1)
    test = split_of(rng)
    predictions = predictions_of(test, rng, skill=1.0)
    found = measures_of(predictions, "igcl", test)
    areas = {}
    for label in LABELS:
        own = [
            roc_auc_score(test.truth["test"][label], rows.set_index("image_id")[label].loc[test.ids("test")])
            for _, rows in predictions[predictions["split"] == "test"].groupby("seed")
        ]
        areas[label] = np.mean(own)
        assert found[Key("igcl", "linear", 0.01, None, label, AUROC, 3.0)].value == pytest.approx(areas[label])
    mean = next(number for key, number in found.items() if key.label == MEAN and key.metric == AUROC)
    assert mean.value == pytest.approx((areas["Edema"] + areas["Effusion"]) / 2)
    assert mean.n_seeds == 2


def test_the_threshold_knows_nothing_of_the_labels_of_the_test_split() -> None:
    rng = np.random.default_rng(2)
    test = split_of(rng)
    predictions = predictions_of(test, rng, skill=1.0)
    turned = test.truth["test"].copy()
    turned[LABELS] = 1 - turned[LABELS]
    other = replace(test, truth={**test.truth, "test": turned})
    one, two = (
        {(key.label, key.metric): number.value for key, number in measures_of(predictions, "x", split).items()}
        for split in (test, other)
    )
    for label in LABELS:
        assert two[label, MCC] == pytest.approx(-one[label, MCC]), "the same images are predicted"


def test_a_label_with_one_outcome_is_not_measured() -> None:
    rng = np.random.default_rng(3)
    test = split_of(rng)
    predictions = predictions_of(test, rng, skill=1.0)
    test.truth["test"]["Edema"] = 0.0
    labels = {key.label for key in measures_of(predictions, "x", test)}
    assert labels == {"Effusion", NO_FINDING, MEAN}


def test_without_any_label_to_measure_tables_are_empty_and_can_be_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    test = split_of(rng)
    predictions = predictions_of(test, rng, skill=1.0)
    test.truth["test"][LABELS] = 0.0
    found = measures_of(predictions, "x", test)
    common = {"cohort": "c", "simulated": True, "n_patients": 1}
    table, differences = measures_table(found, Key._fields, common), differences_table(found, "x", common)
    assert table.empty
    assert differences.empty
    assert {"value", "label"} <= set(table) & set(differences)
    plot_label_fractions(table, False, [tmp_path / "f.png"])
    plot_roc({"x": predictions}, test.truth["test"][LABELS], table, {}, 1.0, [tmp_path / "r.png"])


def measured(skills: dict[str, float]) -> tuple[Measures, TestSplit]:
    rng = np.random.default_rng(4)
    test = split_of(rng)
    found: Measures = {}
    for name, skill in skills.items():
        found |= measures_of(predictions_of(test, rng, skill), name, test)
    return found, test


def test_tables_have_a_row_per_number_and_the_differences_are_those_of_the_values() -> None:
    found, test = measured({"igcl": 2.0, "backbone": 0.2, "scratch": 0.0})
    common = {"cohort": "c", "simulated": True, "n_patients": test.n_patients}
    table, differences = measures_table(found, Key._fields, common), differences_table(found, "igcl", common)
    columns = ["cohort", "simulated", "n_patients", "n_seeds", "initialisation", "mode", "fraction", "label", "metric"]
    assert {*columns, "value", "low", "high"} <= set(table)
    assert not table.duplicated(["initialisation", "mode", "fraction", "shots", "label", "metric"]).any()
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    values = table.set_index(["initialisation", "label", "metric"])["value"]
    for row in differences.to_dict("records"):
        own, other = (values.loc[(name, row["label"], row["metric"])] for name in ("igcl", row["against"]))
        assert row["value"] == pytest.approx(own - other)
    assert set(differences["against"]) == {"backbone", "scratch"}
    assert (differences["p_holm"] >= differences["p"]).all()
    clear = differences[(differences["label"] == MEAN) & (differences["metric"] == AUROC)]
    assert (clear["low"] > 0).all()


def test_the_same_scores_differ_by_nothing() -> None:
    rng = np.random.default_rng(5)
    test = split_of(rng)
    predictions = predictions_of(test, rng, skill=1.0)
    found = measures_of(predictions, "one", test) | measures_of(predictions, "other", test)
    differences = differences_table(found, "one", {})
    assert (differences[["value", "low", "high"]] == 0).all(axis=None)
    assert (differences["p"] == 1).all()
