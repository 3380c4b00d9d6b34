"""Forgetting against frequency: counts by hand, and correlations that find what was planted and nothing else."""

import numpy as np
import pytest

from cxrflow.forgetting.frequency import cooccurrence_matrix, correlations, log_counts, mean_others
from cxrflow.forgetting.settings import ForgettingSettings

SETTINGS = ForgettingSettings(resamples=200, permutations=999)


def test_cooccurrence_by_hand() -> None:
    labels = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, np.nan]])
    matrix = cooccurrence_matrix(labels)
    np.testing.assert_array_equal(matrix, [[3, 2, 1], [2, 2, 1], [1, 1, 1]])
    np.testing.assert_allclose(mean_others(matrix), [1, 1.5, 2])


def test_a_class_without_images_has_neither_logarithm_nor_company() -> None:
    assert np.isnan(log_counts(np.array([0.0, 1])))[0]
    assert np.isnan(mean_others(np.diag([0.0, 4])))[0]
    assert mean_others(np.diag([0.0, 4]))[1] == 0


def test_frequent_classes_that_drop_late_correlate_fully() -> None:
    against = np.arange(8.0)
    quantity = 0.1 * against
    quantity[7] = np.inf
    resampled = np.tile(quantity, (50, 1))
    pearson, spearman = correlations(quantity, against, resampled, SETTINGS)
    assert pearson.value == pytest.approx(1)
    assert (pearson.n_classes, pearson.n_left_out) == (7, 1)
    assert (pearson.slope, pearson.intercept) == pytest.approx((10, 0), abs=1e-9)
    assert spearman.value == pytest.approx(1)
    assert (spearman.n_classes, spearman.n_left_out) == (8, 0)
    assert spearman.p == pytest.approx(1 / 1000, abs=1e-3)
    assert pearson.class_low == pytest.approx(1)


def test_p_of_unrelated_classes_is_uniform() -> None:
    rng = np.random.default_rng(0)
    quick = ForgettingSettings(resamples=100, permutations=199)
    found = [correlations(rng.normal(size=10), np.arange(10.0), np.zeros((1, 10)), quick)[0].p for _ in range(200)]
    assert 0.4 < np.mean(found) < 0.6
    assert np.mean(np.array(found) < 0.1) < 0.17


def test_classes_without_a_curve_are_left_out() -> None:
    quantity = np.array([0.1, np.nan, 0.3, 0.4, 0.2])
    row = correlations(quantity, np.array([1.0, 99, 3, 4, 2]), quantity[None], SETTINGS)[0]
    assert row.value == pytest.approx(1)
    assert (row.n_classes, row.n_left_out) == (4, 1)
