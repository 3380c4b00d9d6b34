"""Coefficients are scipy's; what is unknown is left out, and what is censored has a rank only."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress, pearsonr, spearmanr

from cxrflow.forgetting.correlation import line, pearson, permutation_p, permutations, ranks, spearman

numbers = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=30)


@given(numbers)
@settings(max_examples=60, deadline=None)
def test_equal_to_scipy_with_ties(rows: list[tuple[int, int]]) -> None:
    x, y = np.array(rows, dtype=float).T
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert np.isnan([pearson(x, y), spearman(x, y)]).all()
        return
    assert pearson(x, y) == pytest.approx(pearsonr(x, y).statistic, abs=1e-12)
    assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    fitted = linregress(x, y)
    assert line(x, y) == pytest.approx((fitted.slope, fitted.intercept))


def test_many_at_once_are_each_by_itself_without_what_is_unknown() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 12)), rng.normal(size=12)
    x[2, 3] = x[5, :10] = np.nan
    for coefficient in (pearson, spearman):
        found = coefficient(x, y)
        known = ~np.isnan(x[2])
        assert found[2] == pytest.approx(coefficient(x[2][known], y[known]))
        assert np.isnan(found[5])  # two pairs are always on a line
        assert found[0] == pytest.approx(coefficient(x[0], y))


def test_a_censored_value_ranks_last_and_has_no_size() -> None:
    x, y = np.array([0.1, 0.2, 0.4, np.inf, np.inf]), np.array([1.0, 2, 3, 4, 5])
    assert spearman(x, y) == pytest.approx(spearmanr([1, 2, 3, 9, 9], y).statistic)
    assert pearson(x, y) == pytest.approx(pearsonr(x[:3], y[:3]).statistic)
    np.testing.assert_array_equal(ranks(np.array([np.inf, 3, np.nan, np.inf, 1])), [3.5, 2, np.nan, 3.5, 1])


def test_p_counts_the_value_itself() -> None:
    assert permutation_p(0.9, np.array([0.1, -0.95, 0.9, 0.2])) == pytest.approx(3 / 5)
    assert permutation_p(0.9, np.zeros(99)) == pytest.approx(1 / 100)
    assert np.isnan(permutation_p(np.nan, np.zeros(9)))


def test_permutations_hold_everyone_once_and_come_from_the_seed() -> None:
    drawn = permutations(6, 40, 3)
    assert (np.sort(drawn, axis=1) == np.arange(6)).all()
    np.testing.assert_array_equal(drawn, permutations(6, 40, 3))
    assert (drawn != permutations(6, 40, 4)).any()
