"""The mean over classes, and tests over seeds that equal scipy's and know what to do where there is nothing to test."""

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel, wilcoxon
from tests.forgetting.made_up import made_up_way

from cxrflow.forgetting.overall import TESTS, first_significant, known_mean, mean_over_classes, p_values


def test_classes_without_a_value_are_left_out_and_counted() -> None:
    values = np.array([[[0.2, 0.4, np.nan], [0.1, 0.3, np.nan]]])
    mean = mean_over_classes(made_up_way(values), "auprc", 0)
    np.testing.assert_allclose(mean.values, [0.3, 0.2])
    np.testing.assert_allclose(mean.change, [0, -0.1])
    assert mean.classes.tolist() == [2, 2]
    assert np.isnan(known_mean(np.full((1, 3), np.nan))).all()


def test_the_value_is_the_median_over_seeds() -> None:
    values = np.array([[[0.5], [0.4]], [[0.6], [0.1]], [[0.9], [0.8]]])
    mean = mean_over_classes(made_up_way(values), "auroc", 0)
    np.testing.assert_allclose(mean.values, [0.6, 0.4])
    np.testing.assert_allclose(mean.change, [0, -0.1])  # of -0.1, -0.5, -0.1: not the difference of the medians


def test_metrics_that_are_not_resampled_have_no_resamples() -> None:
    mean = mean_over_classes(made_up_way(np.full((2, 2, 1), 0.5)), "f1", 0)
    assert mean.resampled is None
    assert mean.resampled_change is None


def test_p_values_are_scipys() -> None:
    by_seed = np.random.default_rng(0).normal(0.3, 0.01, (8, 3)) - [0, 0, 0.02]
    start, levels = by_seed[:, 0], by_seed[:, 1:].T
    np.testing.assert_allclose(
        p_values(by_seed, "welch")[1:], [ttest_ind(x, start, equal_var=False).pvalue for x in levels]
    )
    np.testing.assert_allclose(p_values(by_seed, "paired")[1:], [ttest_rel(x, start).pvalue for x in levels])
    np.testing.assert_allclose(p_values(by_seed, "wilcoxon")[1:], [wilcoxon(x, start).pvalue for x in levels])


@pytest.mark.parametrize("test", TESTS)
def test_one_seed_has_no_p_and_no_difference_has_p_one(test: str) -> None:
    assert np.isnan(p_values(np.array([[0.3, 0.2]]), test)).all()  # type: ignore[arg-type]
    unchanged = p_values(np.array([[0.3, 0.3], [0.4, 0.4], [0.5, 0.5]]), test)  # type: ignore[arg-type]
    assert np.isnan(unchanged[0])
    assert unchanged[1] == 1


def test_the_same_loss_in_every_seed_is_certain_in_pairs_only() -> None:
    by_seed = np.array([[0.3, 0.25], [0.5, 0.45], [0.75, 0.7], [1.0, 0.95]])
    assert p_values(by_seed, "paired")[1] < 1e-6
    assert p_values(by_seed, "welch")[1] > 0.5


def test_the_first_level_that_differs() -> None:
    levels = np.array([0, 0.5, 0.7, 0.9])
    assert first_significant(levels, np.array([np.nan, 0.2, 0.049, 0.001])) == 0.7
    assert np.isnan(first_significant(levels, np.array([np.nan, 0.05, 0.2, 0.3])))
