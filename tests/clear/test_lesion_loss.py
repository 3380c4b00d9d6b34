"""The loss is the published formula, term by term; without lesions or weight it is MoCo v3's."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from cxrflow.clear.lesion_loss import lesion_loss
from cxrflow.clear.moco import momentum_of, move_towards

torch.set_num_threads(1)


def unit(count: int, seed: int) -> Tensor:
    return F.normalize(torch.randn(count, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)), dim=1)


def by_the_formula(queries: Tensor, keys: Tensor, lesions: list[bool], temperature: float, weight: float) -> float:
    total = 0.0
    for i, query in enumerate(queries):
        similar = [float(query @ key) / temperature for key in keys]
        terms = [math.exp(s) for s in similar]
        if weight > 0:
            terms += [math.exp(weight * s) for j, s in enumerate(similar) if lesions[j] and j != i]
        total += math.log(sum(terms)) - similar[i]
    return 2 * temperature * total / len(queries)


@given(
    st.lists(st.booleans(), min_size=2, max_size=7),
    st.sampled_from([0.0, 1.0, 2.0]),
    st.sampled_from([0.2, 0.7, 1.0]),
    st.integers(0, 99),
)
@settings(deadline=None)
def test_it_is_the_published_formula(lesions: list[bool], weight: float, temperature: float, seed: int) -> None:
    queries, keys = unit(len(lesions), seed), unit(len(lesions), seed + 1000)
    found = lesion_loss(queries, keys, torch.arange(len(lesions)), torch.tensor(lesions), temperature, weight)
    assert float(found) == pytest.approx(
        by_the_formula(queries, keys, lesions, temperature, weight), rel=1e-5, abs=1e-5
    )


def test_without_lesions_it_is_the_cross_entropy_of_moco_v3() -> None:
    queries, keys, own = unit(6, 0).float(), unit(6, 1).float(), torch.arange(6)
    expected = 2 * 0.2 * F.cross_entropy(queries @ keys.T / 0.2, own)
    torch.testing.assert_close(lesion_loss(queries, keys, own, torch.zeros(6, dtype=torch.bool), 0.2, 1.0), expected)


def test_an_anchors_own_lesion_is_no_negative() -> None:
    queries, keys, own = unit(5, 0), unit(5, 1), torch.arange(5)
    marked, none = torch.tensor([True, False, False, False, False]), torch.zeros(5, dtype=torch.bool)
    first = lesion_loss(queries[:1], keys, own[:1], marked, 1.0, 1.0)
    assert first == lesion_loss(queries[:1], keys, own[:1], none, 1.0, 1.0)
    assert lesion_loss(queries[1:], keys, own[1:], marked, 1.0, 1.0) > lesion_loss(
        queries[1:], keys, own[1:], none, 1.0, 1.0
    )


def test_parts_of_a_batch_with_all_keys_make_the_loss_of_the_whole() -> None:
    queries, keys, own, lesions = unit(7, 0), unit(7, 1), torch.arange(7), torch.arange(7) % 3 == 0
    whole = lesion_loss(queries, keys, own, lesions, 0.5, 2.0)
    filled = torch.cat([keys[:4], keys[4:], keys[:1]])  # two processes: one fills up its three keys with one of nobody
    valid, flags = torch.arange(8) < 7, torch.cat([lesions, torch.tensor([True])])
    parts = [lesion_loss(queries[part], filled, own[part], flags, 0.5, 2.0, valid) for part in (own[:4], own[4:])]
    torch.testing.assert_close((4 * parts[0] + 3 * parts[1]) / 7, whole)


def test_copies_follow_slowly_and_momentum_rises_along_a_cosine() -> None:
    copies, models = [torch.zeros(3), torch.ones(2, 2)], [torch.ones(3), torch.zeros(2, 2)]
    move_towards(copies, models, 0.9)
    torch.testing.assert_close(copies, [torch.full((3,), 0.1), torch.full((2, 2), 0.9)])
    assert [momentum_of(update, 10, 0.9, "constant") for update in (0, 10)] == [0.9, 0.9]
    rising = [momentum_of(update, 10, 0.9, "cosine") for update in (0, 5, 10)]
    assert rising == pytest.approx([0.9, 0.95, 1.0])
