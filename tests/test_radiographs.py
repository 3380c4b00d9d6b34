"""Batches of an epoch hold every example once, in an order of their own; like lengths share one and waste less."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cxrflow.radiographs import shuffled_places

LENGTHS = st.lists(st.integers(1, 64), min_size=1, max_size=200)


def batches_of(lengths: list[int], size: int, epoch: int = 0, alike: bool = True) -> list[np.ndarray]:
    return list(shuffled_places(len(lengths), size, 3, epoch, np.array(lengths) if alike else None))


def padding(lengths: list[int], batches: list[np.ndarray]) -> int:
    known = np.array(lengths)
    return sum(int((known[batch].max() - known[batch]).sum()) for batch in batches)


@given(LENGTHS, st.integers(1, 9))
def test_every_example_comes_once_and_one_batch_may_be_smaller(lengths: list[int], size: int) -> None:
    batches = batches_of(lengths, size)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert sorted(map(len, batches))[1:] == [size] * (len(batches) - 1)


@given(LENGTHS, st.integers(1, 9))
def test_an_epoch_is_drawn_from_seed_and_number_alone(lengths: list[int], size: int) -> None:
    same = zip(batches_of(lengths, size), batches_of(lengths, size), strict=True)
    assert all(np.array_equal(one, other) for one, other in same)


def test_examples_of_like_length_share_a_batch_and_batches_come_in_no_order_of_length() -> None:
    lengths = np.random.default_rng(0).integers(5, 64, 1000).tolist()
    alike = batches_of(lengths, 32)
    assert padding(lengths, alike) < 0.3 * padding(lengths, batches_of(lengths, 32, alike=False))
    longest = [max(lengths[place] for place in batch) for batch in alike[:8]]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


def test_epochs_differ() -> None:
    lengths = np.random.default_rng(0).integers(5, 64, 100).tolist()
    one, other = (np.concatenate(batches_of(lengths, 8, epoch)) for epoch in (0, 1))
    assert not np.array_equal(one, other)
