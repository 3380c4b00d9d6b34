"""Metrics equal scikit-learn's and hand-computed values; intervals move with patients, not with images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.metrics import f1_score as reference_f1
from statsmodels.stats.multitest import multipletests

from cxrflow.metrics import (
    auroc,
    average_precision,
    class_metrics,
    estimate,
    f1_score,
    holm,
    interval,
    mean_estimate,
    over_resamples,
    paired_difference,
    patient_draws,
    resample_weights,
    resampled_sums,
    two_sided_p,
    weighted_mean,
)
from cxrflow.ranking import Ranking
from cxrflow.resampled_areas import resampled_areas

examples = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 3)), min_size=2, max_size=40)


def test_auroc_by_hand() -> None:
    # Positives score 3 and 2, negatives 2 and 1: of the four pairs three are won and one is tied.
    assert auroc([1, 1, 0, 0], [3, 2, 2, 1])[0] == pytest.approx(3.5 / 4)


def test_average_precision_by_hand() -> None:
    # Ranked 1, 0, 1: precision 1 at the first positive and 2/3 at the second.
    assert average_precision([1, 0, 1], [3, 2, 1])[0] == pytest.approx((1 + 2 / 3) / 2)


@given(examples)
def test_equal_to_scikit_learn_with_ties_and_weights(rows: list[tuple[int, int, int]]) -> None:
    outcome, score, weight = np.array(rows).T
    drawn = np.repeat(np.arange(len(rows)), weight)
    if len(set(outcome[drawn].tolist())) < 2:
        assert np.isnan(auroc(outcome, score, weight[None])[0])
        assert np.isnan(average_precision(outcome, score, weight[None])[0])
        return
    assert auroc(outcome, score, weight[None])[0] == pytest.approx(roc_auc_score(outcome[drawn], score[drawn]))
    expected = average_precision_score(outcome[drawn], score[drawn])
    assert average_precision(outcome, score, weight[None])[0] == pytest.approx(expected)


@given(examples)
def test_auroc_of_the_reversed_score_is_the_complement(rows: list[tuple[int, int, int]]) -> None:
    outcome, score, _ = np.array(rows).T
    np.testing.assert_allclose(auroc(outcome, -score), 1 - auroc(outcome, score))


@given(st.lists(st.integers(0, 8), min_size=1, max_size=60), st.integers(0, 3))
@settings(max_examples=30)
def test_patients_are_drawn_whole(patients: list[int], seed: int) -> None:
    weights = resample_weights(patients, 20, seed)
    for patient in set(patients):
        columns = weights[:, np.array(patients) == patient]
        assert (columns == columns[:, :1]).all()
    _, first = np.unique(patients, return_index=True)
    assert (weights[:, first].sum(axis=1) == len(set(patients))).all()


@given(st.lists(st.integers(0, 8), min_size=1, max_size=40), st.integers(0, 3), st.integers(1, 200))
@settings(max_examples=30)
def test_sums_are_those_of_the_drawn_weights_in_blocks_of_any_size(patients: list[int], seed: int, cells: int) -> None:
    values = np.random.default_rng(seed).integers(0, 5, (len(patients), 2, 3))
    expected = np.tensordot(resample_weights(patients, 30, seed), values, axes=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxrflow.metrics._CELLS", cells)
        np.testing.assert_array_equal(resampled_sums(values, patients, 30, seed), expected)


def test_sums_over_nobody_are_nothing() -> None:
    assert (resampled_sums(np.zeros((0, 3)), [], 5, 0) == np.zeros((5, 3))).all()


def test_a_patients_images_repeated_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(0)
    outcome = rng.integers(0, 2, 60)
    score, patients = outcome + rng.normal(size=60), np.arange(60)
    single = estimate(auroc, outcome, score, resample_weights(patients, 400, 0))
    many = estimate(
        auroc,
        *(np.repeat(column, 10) for column in (outcome, score)),
        resample_weights(np.repeat(patients, 10), 400, 0),
    )
    np.testing.assert_allclose(single, many)
    assert single.low < single.value < single.high


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    outcome, score, weights = rng.integers(0, 2, 50), rng.normal(size=50), resample_weights(np.arange(50), 64, 0)
    whole = over_resamples(auroc, outcome, score, weights)
    monkeypatch.setattr("cxrflow.metrics._CELLS", 170)
    np.testing.assert_array_equal(whole, over_resamples(auroc, outcome, score, weights))


def test_one_outcome_has_no_value() -> None:
    nothing = estimate(auroc, np.ones(5), np.arange(5.0), resample_weights(np.arange(5), 100, 0))
    assert np.isnan(nothing).all()
    assert np.isnan(auroc([], [])[0])


def test_interval_needs_most_resamples() -> None:
    assert np.isnan(interval(0.5, np.array([0.4, np.nan, np.nan])).low)
    assert interval(0.5, np.array([0.5, 0.5, np.nan])) == (0.5, 0.5, 0.5)


def test_equal_models_do_not_differ() -> None:
    rng = np.random.default_rng(2)
    outcome, score, weights = rng.integers(0, 2, 40), rng.normal(size=40), resample_weights(np.arange(40), 100, 0)
    assert paired_difference(auroc, outcome, score, 3 * score, weights) == (0, 0, 0)
    assert mean_estimate(auroc, outcome, [score, score], weights) == estimate(auroc, outcome, score, weights)


def test_weighted_mean_leaves_unknown_values_out() -> None:
    np.testing.assert_allclose(weighted_mean([1.0, np.nan, 3.0], np.array([[1, 5, 1], [0, 1, 2]])), [2, 3])
    assert np.isnan(weighted_mean([np.nan])[0])


def test_p_by_hand() -> None:
    # Of nine resamples two are not above zero: 2 x (2 + 1) / (9 + 1).
    assert two_sided_p(np.array([-1.0, 0, 1, 2, 3, 4, 5, 6, 7])) == pytest.approx(0.6)
    assert two_sided_p(np.ones(99)) == pytest.approx(2 / 100)
    assert two_sided_p(np.zeros(99)) == 1
    assert two_sided_p(np.array([1.0, 1, np.nan])) == pytest.approx(2 / 3)
    assert np.isnan(two_sided_p(np.array([1.0, np.nan, np.nan])))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=15, deadline=None)
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    np.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1])


def test_holm_leaves_what_has_no_p_out() -> None:
    np.testing.assert_allclose(holm([0.04, np.nan, 0.01, 0.03]), [0.06, np.nan, 0.03, 0.06])


classes = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=60)


@given(classes)
def test_one_sort_equals_scikit_learn_with_ties_and_unknown_outcomes(rows: list[tuple[int, int]]) -> None:
    outcome, score = np.array(rows, dtype=np.float64).T
    known = outcome < 2
    outcome[~known] = np.nan
    ranking = Ranking.of(outcome, score)
    if len(set(outcome[known])) < 2:
        assert np.isnan([ranking.auroc(), ranking.average_precision(), ranking.best_threshold()]).all()
        return
    assert ranking.auroc() == pytest.approx(roc_auc_score(outcome[known], score[known]), abs=1e-12)
    assert ranking.average_precision() == pytest.approx(
        average_precision_score(outcome[known], score[known]), abs=1e-12
    )


@given(classes)
def test_no_threshold_has_a_better_f1_than_the_best(rows: list[tuple[int, int]]) -> None:
    outcome, score = np.array(rows, dtype=np.float64).T
    outcome = np.minimum(outcome, 1)
    best = Ranking.of(outcome, score).best_threshold()
    if len(set(outcome)) == 2:
        others = [reference_f1(outcome, score >= threshold) for threshold in np.arange(11)]
        assert reference_f1(outcome, score >= best) == pytest.approx(max(others))
        assert f1_score(outcome[:, None], score[:, None], best) == pytest.approx(max(others))


def test_the_best_threshold_by_hand() -> None:
    # Calling the best three positive finds both at one false alarm: 2 x 2 / (3 + 2); the best one alone: 2 / 3.
    assert Ranking.of([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]).best_threshold() == 0.7


@given(classes, st.integers(0, 3), st.integers(1, 4), st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_resampled_areas_are_those_of_each_resample(
    rows: list[tuple[int, int]], seed: int, per_patient: int, cached: int
) -> None:
    outcome, score = np.array(rows, dtype=np.float64).T
    outcome[outcome > 1] = np.nan
    patient = np.arange(len(rows)) // per_patient
    weights = resample_weights(patient, 23, seed)
    by_patient = weights[:, np.unique(patient, return_index=True)[1]].T.astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxrflow.resampled_areas._CACHED", cached)
        areas = resampled_areas(Ranking.of(outcome, score), patient, np.ascontiguousarray(by_patient))
    known = ~np.isnan(outcome)
    for metric, area in zip((auroc, average_precision), areas, strict=True):
        np.testing.assert_allclose(area, metric(outcome[known], score[known], weights[:, known]), rtol=1e-5)


def test_resamples_of_many_distinct_scores_agree_with_the_general_way() -> None:
    rng = np.random.default_rng(5)
    outcome, patient = rng.integers(0, 2, 1500), rng.integers(0, 300, 1500)
    score = (outcome + rng.normal(size=1500)).round(2).astype(np.float32)
    weights = resample_weights(np.arange(300), 50, 0)
    areas = resampled_areas(Ranking.of(outcome, score), patient, np.ascontiguousarray(weights.T, dtype=np.float32))
    for metric, area in zip((auroc, average_precision), areas, strict=True):
        np.testing.assert_allclose(area, metric(outcome, score, weights[:, patient]), rtol=2e-6)


def test_constant_scores_are_chance() -> None:
    ranking = Ranking.of([1, 0, 0, 0], np.full(4, 0.25))
    assert (ranking.auroc(), ranking.average_precision()) == (0.5, 0.25)
    area, precision = resampled_areas(ranking, np.arange(4), np.ones((4, 3), np.float32))
    np.testing.assert_allclose([area, precision], [[0.5] * 3, [0.25] * 3])


def test_all_classes_at_once_equal_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    outcome = (rng.random((800, 5)) < [0.5, 0.1, 0.01, 0.0, 1.0]).astype(np.float32)
    score = rng.random((800, 5)).astype(np.float32).round(2)
    found = class_metrics(outcome, score)
    for place in range(3):
        truth, values = outcome[:, place], score[:, place]
        expected = [roc_auc_score(truth, values), average_precision_score(truth, values)]
        expected.append(reference_f1(truth, values > 0.5))
        assert [found[name][place] for name in ("auroc", "auprc", "f1")] == pytest.approx(expected, abs=1e-12)
    assert all(np.isnan(values[3:]).all() for values in found.values())


def test_a_half_is_not_above_a_half() -> None:
    score = np.array([[0.5], [0.75], [0.25]], np.float32)
    assert f1_score(np.array([[1.0], [0], [0]]), score) == 0
    assert f1_score(np.array([[0.0], [1], [0]]), score) == 1
    assert f1_score(np.array([[0.0], [1], [np.nan]]), score, np.array([0.2])) == pytest.approx(2 / 3)


def test_no_threshold_has_no_f1() -> None:
    assert np.isnan(f1_score(np.array([[1.0], [0]]), np.array([[0.9], [0.1]], np.float32), np.nan))


def test_unknown_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        Ranking.of([0, 1], [0.5, np.nan])


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30), st.integers(0, 9))
def test_draws_of_patients_are_the_weights_of_their_examples(patients, seed):
    patient, drawn = patient_draws(patients, 12, seed)
    assert drawn.shape == (len(set(patients)), 12)
    assert (drawn.sum(axis=0) == len(set(patients))).all()
    np.testing.assert_array_equal(drawn[patient].T, resample_weights(patients, 12, seed))
