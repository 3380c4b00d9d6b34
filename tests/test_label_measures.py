"""Areas of labels are the field's, their mean is over labels that can be scored, and differences are adjusted."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from cxrflow.label_measures import AUROC, PRECISION, areas_of, label_areas, means_over_labels
from cxrflow.measured import MEAN, Measured, differences_table, first_against_others
from cxrflow.metrics import holm, patient_draws

LABELS = ["Edema", "Effusion", "Fracture"]
PATIENTS = np.repeat(np.arange(40), 2)
DRAWS = patient_draws(PATIENTS, 200, 0)


@pytest.fixture
def truth() -> NDArray:
    return (np.random.default_rng(0).random((len(PATIENTS), len(LABELS))) < [0.5, 0.3, 0.2]).astype(float)


@pytest.fixture
def scores(truth: NDArray) -> NDArray:
    return truth + np.random.default_rng(1).normal(size=truth.shape)


def test_areas_are_those_of_each_label_and_of_their_mean(truth: NDArray, scores: NDArray) -> None:
    found = label_areas(truth, scores, LABELS, *DRAWS)
    for metric, reference in ((AUROC, roc_auc_score), (PRECISION, average_precision_score)):
        expected = [reference(outcome, score) for outcome, score in zip(truth.T, scores.T, strict=True)]
        assert [found[label, metric].value for label in LABELS] == pytest.approx(expected)
        assert found[MEAN, metric].value == pytest.approx(np.mean(expected))
    assert found[MEAN, AUROC].chance == 0.5
    assert found[MEAN, PRECISION].chance == pytest.approx(truth.mean())


def test_labels_with_one_outcome_or_without_scores_are_left_out(truth: NDArray, scores: NDArray) -> None:
    truth[:, 0], scores[3, 1] = 0, np.nan
    found = label_areas(truth, scores, LABELS, *DRAWS)
    assert {label for label, _ in found} == {"Fracture", MEAN}
    assert found[MEAN, AUROC].value == found["Fracture", AUROC].value
    assert label_areas(np.zeros_like(truth), scores, LABELS, *DRAWS) == {}


def test_unknown_outcomes_take_no_part(truth: NDArray, scores: NDArray) -> None:
    unknown = np.arange(len(truth)) % 4 == 0
    told = np.where(unknown, np.nan, truth[:, 0])
    found = areas_of("Edema", told, scores[:, 0], *DRAWS)
    assert found["Edema", AUROC].value == pytest.approx(roc_auc_score(truth[~unknown, 0], scores[~unknown, 0]))
    assert found["Edema", PRECISION].chance == pytest.approx(truth[~unknown, 0].mean())


def test_a_resample_without_a_rare_label_counts_with_the_others_or_not_at_all(truth: NDArray, scores: NDArray) -> None:
    truth[:, 2] = PATIENTS == 7
    lost = DRAWS[1][7] == 0
    assert lost.any()
    found = label_areas(truth, scores, LABELS, *DRAWS)
    others = np.mean([found[label, AUROC].resampled for label in LABELS[:2]], axis=0)
    np.testing.assert_allclose(found[MEAN, AUROC].resampled[lost], others[lost])
    whole = means_over_labels({key: one for key, one in found.items() if key[0] != MEAN}, [AUROC])[MEAN, AUROC]
    np.testing.assert_array_equal(np.isnan(whole.resampled), lost)
    assert whole.value == found[MEAN, AUROC].value


def test_means_leave_out_what_they_are_told(truth: NDArray, scores: NDArray) -> None:
    found = label_areas(truth, scores, LABELS, *DRAWS)
    one = {key: number for key, number in found.items() if key[0] != MEAN}
    mean = means_over_labels(one, [AUROC], left_out=LABELS[1:])
    assert list(mean) == [(MEAN, AUROC)]
    assert mean[MEAN, AUROC].value == found["Edema", AUROC].value


class Key(NamedTuple):
    model: str
    task: str


def test_p_values_are_adjusted_within_their_family_and_pairs_are_of_the_same_task() -> None:
    rng = np.random.default_rng(2)
    measures = {
        Key(model, task): Measured(value, value + 0.1 * rng.normal(size=99), 1, 0.5)
        for task in ("a", "b")
        for model, value in {"first": 0.8, "near": 0.75, "far": 0.5}.items()
    }
    measures[Key("near", "alone")] = measures[Key("near", "a")]
    pairs = first_against_others(measures, "first")
    table = differences_table(measures, pairs, Key._fields, {"cohort": "c"}, ["task"])
    assert set(zip(table["task"], table["against"], strict=True)) == {(t, m) for t in "ab" for m in ("near", "far")}
    assert set(table["model"]) == {"first"}
    for _, rows in table.groupby("task"):
        assert rows["p_holm"].tolist() == holm(rows["p"]).tolist()
        assert dict(zip(rows["against"], rows["value"], strict=True)) == pytest.approx({"near": 0.05, "far": 0.3})
