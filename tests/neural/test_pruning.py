"""Kept patches are prefixes of one ranking, with exactly the published counts."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cxrflow.neural.pruning import kept_counts, kept_table, patch_order, patch_scores, random_order
from cxrflow.neural.settings import PruningSettings

TABLE = {1: 2, 2.3: 4, 3: 5, 5: 8, 6.6: 10, 10: 15, 25: 36, 50: 72, 100: 144}


def test_counts_are_those_of_the_percentile_rule() -> None:
    assert kept_counts(list(TABLE), "percentile") == list(TABLE.values())


def test_topk_rounds_the_share() -> None:
    assert kept_counts([0.1, 2.3, 50, 100], "topk") == [1, 3, 72, 144]


@given(st.floats(0.5, 99.5), st.integers(0, 100))
def test_counts_equal_numpys_percentile_of_distinct_scores(share: float, seed: int) -> None:
    share = round(share, 1)
    scores = np.random.default_rng(seed).permutation(144) / 8
    above = int((scores > np.percentile(scores, 100 - share)).sum())
    assert kept_counts([share], "percentile") == [max(1, above)]


@given(arrays(np.float32, (3, 144), elements=st.integers(0, 5).map(np.float32)))
def test_ties_go_to_the_lower_patch(scores: np.ndarray) -> None:
    for row, order in zip(scores, patch_order(scores), strict=True):
        assert sorted(range(144), key=lambda patch: (-row[patch], patch)) == order.tolist()


def test_a_smaller_share_is_contained_in_a_larger_one() -> None:
    scores = np.random.default_rng(0).random((20, 144))
    order = patch_order(scores)
    counts = kept_counts(sorted(TABLE), "percentile")
    for smaller, larger in pairwise(counts):
        for row in order:
            assert set(row[:smaller]) < set(row[:larger])


def test_random_order_is_a_permutation_that_the_seed_decides() -> None:
    first = random_order(7, 1)
    assert (np.sort(first, axis=1) == np.arange(144)).all()
    np.testing.assert_array_equal(first, random_order(7, 1))
    assert (first != random_order(7, 2)).any()
    assert (first[0] != first[1]).any()


def test_layers_are_chosen_or_averaged() -> None:
    attention = np.stack([np.zeros((2, 144)), np.ones((2, 144))], axis=1).astype(np.float32)
    assert (patch_scores(attention, "last") == 1).all()
    assert (patch_scores(attention, "mean") == 0.5).all()


def test_the_realised_share_is_told() -> None:
    table = kept_table(PruningSettings()).set_index("kept_percent")
    assert table.loc[2.3, "realised_percent"] == pytest.approx(100 * 4 / 144)
