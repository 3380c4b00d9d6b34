"""Rank agreement of rows: scipy is the reference, ties included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import spearmanr

from cxrflow.forgetting import agreement
from cxrflow.forgetting.agreement import centred_ranks, row_agreement


def by_scipy(first: np.ndarray, second: np.ndarray) -> list[float]:
    return [spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]


@pytest.mark.parametrize("classes", [3, 20, 64, 65, 90])
@pytest.mark.parametrize("distinct", [3, 1_000_000])
def test_agreement_is_the_rank_correlation_of_each_row_with_and_without_ties(classes: int, distinct: int) -> None:
    generator = np.random.default_rng(classes)
    first, second = generator.integers(distinct, size=(2, 30, classes)).astype(np.float32)
    first[:, 0], second[:, 1] = -1, -1  # no row is constant
    found = row_agreement(first, second)
    np.testing.assert_allclose(found.correlation, by_scipy(first, second), atol=1e-12, rtol=0)
    assert not found.constant.any()


def test_a_value_computed_by_hand() -> None:
    # Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    found = row_agreement([[0.1, 0.5, 0.5, 0.9]], [[1, 2, 3, 4]])
    assert found.correlation[0] == pytest.approx(4.5 / np.sqrt(4.5 * 5), abs=1e-15)


def test_a_constant_row_has_no_agreement_and_says_so() -> None:
    found = row_agreement([[0.2, 0.2, 0.2], [1, 2, 3], [1, 2, 3]], [[1, 2, 3], [0.5, 0.5, 0.5], [3, 2, 1]])
    assert np.isnan(found.correlation[:2]).all()
    assert found.correlation[2] == -1
    assert found.constant.tolist() == [True, True, False]


def test_unknown_probabilities_have_no_agreement_but_are_not_constant() -> None:
    found = row_agreement([[0.2, np.nan, 0.3]], [[1, 2, 3]])
    assert np.isnan(found.correlation[0])
    assert not found.constant[0]


def test_equal_orders_agree_exactly() -> None:
    values = np.random.default_rng(0).random((50, 20))
    assert (row_agreement(values, np.exp(5 * values)).correlation == 1).all()
    assert (row_agreement(values, -values).correlation == -1).all()


@given(arrays.arrays(np.float32, (4, 7), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])))
def test_twice_the_average_ranks_sum_to_zero_and_count_smaller_minus_larger(values: np.ndarray) -> None:
    ranks = centred_ranks(values).T
    assert (ranks.astype(int).sum(axis=1) == 0).all()
    for row, found in zip(values, ranks, strict=True):
        assert found.tolist() == [(row < value).sum() - (row > value).sum() for value in row]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = np.random.default_rng(1).random((2, 25, 6))
    whole = row_agreement(first, second).correlation
    monkeypatch.setattr(agreement, "_CELLS", 6 * 4)
    assert row_agreement(first, second).correlation.tolist() == whole.tolist()


def test_no_rows_and_other_shapes() -> None:
    assert len(row_agreement(np.zeros((0, 20)), np.zeros((0, 20))).correlation) == 0
    with pytest.raises(ValueError, match="one shape"):
        row_agreement(np.zeros((2, 3)), np.zeros((3, 3)))
