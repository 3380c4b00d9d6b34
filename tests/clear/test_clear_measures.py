"""Folds and seeds are averaged on the same test patients; thresholds know nothing of the test split."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, confusion_matrix, f1_score, roc_auc_score
from tests.clear.made_up_patients import FOLDS, SEEDS, predictions_of
from tests.clear.made_up_patients import TYPES as LABELS

from cxrflow.clear.confusion import confusions
from cxrflow.clear.downstream_settings import MeasuringSettings
from cxrflow.clear.measures import CLASSES, measure, predicted_classes, thresholds
from cxrflow.metrics import resampled_f1

SETTINGS = MeasuringSettings(resamples=200)
ABOUT = {"cohort": "c", "simulated": True}


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    return pd.concat([predictions_of("good", 3.0), predictions_of("poor", 1.0, 1), predictions_of("same", 3.0)])


@pytest.fixture(scope="module")
def tables(predictions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return measure(predictions, "good", ABOUT, SETTINGS)


def value_of(table: pd.DataFrame, encoder: str, label: str, metric: str) -> pd.Series:
    rows = table[(table["encoder"] == encoder) & (table["label"] == label) & (table["metric"] == metric)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_areas_are_the_means_over_folds_and_seeds(
    predictions: pd.DataFrame, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    rows = predictions[(predictions["encoder"] == "good") & (predictions["split"] == "test")]
    for metric, reference in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
        by_label = {}
        for label in LABELS:
            models = rows[rows["label"] == label].groupby(["seed", "fold"])
            by_label[label] = np.mean([reference(own["truth"], own["logit"]) for _, own in models])
            found = value_of(tables[0], "good", label, metric)
            assert found["value"] == pytest.approx(by_label[label], abs=1e-6)
            assert found["low"] < found["value"] < found["high"]
        assert value_of(tables[0], "good", "mean", metric)["value"] == pytest.approx(np.mean(list(by_label.values())))


def test_tables_say_of_how_many_patients_seeds_and_folds(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    for column, value in {"n_patients": 60, "n_seeds": SEEDS, "n_folds": FOLDS, "train_patients": 20}.items():
        assert set(tables[0][column]) == {value}


def test_predictions_use_the_threshold_of_the_folds_held_out(
    predictions: pd.DataFrame, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    rows = predictions[(predictions["encoder"] == "good") & (predictions["label"] == "bone")]
    expected = []
    for _, own in rows.groupby("seed"):
        held_out, tested = (own[own["split"] == split] for split in ("validate", "test"))
        candidates = sorted(held_out["logit"], reverse=True)
        best = max(candidates, key=lambda limit: f1_score(held_out["truth"], held_out["logit"] >= limit))
        assert thresholds(held_out)["bone"] == pytest.approx(best)
        expected += [f1_score(fold["truth"], fold["logit"] >= best) for _, fold in tested.groupby("fold")]
    assert value_of(tables[0], "good", "bone", "f1")["value"] == pytest.approx(np.mean(expected))


def test_test_labels_change_no_threshold(predictions: pd.DataFrame) -> None:
    other = predictions.assign(
        truth=np.where(predictions["split"] == "test", 1 - predictions["truth"], predictions["truth"])
    )
    one, turned = (measure(table, "good", ABOUT, SETTINGS)[0] for table in (predictions, other))
    for label in LABELS:
        right, wrong = (value_of(table, "good", label, "accuracy")["value"] for table in (one, turned))
        assert right + wrong == pytest.approx(1)


def test_differences_are_paired_and_adjusted(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table = tables[1]
    same, poor = (table[(table["against"] == name) & (table["metric"] == "auroc")] for name in ("same", "poor"))
    assert (same[["value", "low", "high"]] == 0).all(axis=None)
    assert (same["p_holm"] == 1).all()
    assert (poor["low"] > 0).all()
    assert (poor["p_holm"] >= poor["p"]).all()
    assert len(poor) == len(LABELS) + 1


def test_a_label_with_one_outcome_has_no_number(predictions: pd.DataFrame) -> None:
    alone = predictions.assign(truth=predictions["truth"].where(predictions["label"] != "liver", 1.0))
    table = measure(alone, "good", ABOUT, SETTINGS)[0]
    assert set(table["label"]) == {"bone", "mean"}


def test_classes_have_an_accuracy_among_all() -> None:
    table = predictions_of("good", 3.0, kind="multi-class", labels=("a", "b", "c"))
    first = table.groupby(["seed", "fold", "bag"])["truth"].cumsum()
    table["truth"] = ((table["truth"] > 0) & (first == 1) | (table["label"] == "c") & (first == 0)).astype(float)
    found = value_of(measure(table, "good", ABOUT, SETTINGS)[0], "good", CLASSES, "accuracy")["value"]
    tested = table[table["split"] == "test"]
    right, matrices = [], []
    for _, own in tested.groupby(["seed", "fold"]):
        truth, logits = (own.pivot_table(name, "bag", "label").to_numpy().argmax(axis=1) for name in ("truth", "logit"))
        right.append((truth == logits).mean())
        matrices.append(confusion_matrix(truth, logits, labels=[0, 1, 2]))
    assert found == pytest.approx(np.mean(right))
    np.testing.assert_allclose(confusions(table)[0].counts, np.mean(matrices, axis=0))


def test_a_stage_is_the_number_of_steps_that_are_likelier_than_not() -> None:
    logits = np.array([[-1.0, -2.0], [1.0, -2.0], [3.0, 2.0]])
    assert predicted_classes(logits, "ordinal").tolist() == [0, 1, 2]


def test_confusions_are_means_over_folds_and_seeds(predictions: pd.DataFrame) -> None:
    rows = predictions[predictions["encoder"] == "good"]
    found = {matrix.title: matrix.counts for matrix in confusions(rows)}
    assert list(found) == list(LABELS)
    for label in LABELS:
        matrices = []
        for _, own in rows[rows["label"] == label].groupby("seed"):
            limit = thresholds(own[own["split"] == "validate"])[label]
            models = own[own["split"] == "test"].groupby("fold")
            matrices += [confusion_matrix(fold["truth"], fold["logit"] >= limit) for _, fold in models]
        np.testing.assert_allclose(found[label], np.mean(matrices, axis=0))


@given(st.integers(0, 1000), st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_f1_over_resamples_is_that_of_the_rows_drawn(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    predicted, outcome, weights = (
        rng.random(count) < 0.5,
        (rng.random(count) < 0.5).astype(float),
        rng.integers(0, 3, (3, count)),
    )
    for found, drawn in zip(resampled_f1(predicted, outcome, weights), weights, strict=True):
        rows = np.repeat(np.arange(count), drawn)
        if len(set(outcome[rows])) < 2:
            assert np.isnan(found)
        else:
            assert found == pytest.approx(f1_score(outcome[rows], predicted[rows], zero_division=0))
