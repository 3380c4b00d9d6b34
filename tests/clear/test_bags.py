"""A bag's prediction is its own: the same alone, in any batch, in any order of its slices; nothing is padded."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from cxrflow.clear.aggregators import AttentionPooling, BagClassifier, MeanPooling, MultiheadPooling, OrderedClasses
from cxrflow.clear.bags import bag_maxima, bag_softmax, bag_sums
from cxrflow.clear.downstream_settings import AggregationSettings

torch.set_num_threads(1)

AGGREGATORS = ("abmil", "gated_abmil", "pma", "mean", "max")
HOW = AggregationSettings(hidden=8, heads=2, aggregators=AGGREGATORS)


def owners_of(sizes: list[int]) -> torch.Tensor:
    return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))


@pytest.mark.parametrize("aggregator", AGGREGATORS)
@given(
    st.lists(st.integers(1, 30), min_size=2, max_size=5),
    st.integers(0, 1000),
    st.sampled_from(["multi-label", "ordinal"]),
)
@settings(max_examples=10, deadline=None)
def test_a_bag_is_told_the_same_alone_and_beside_bags_of_any_size(
    aggregator: str, sizes: list[int], seed: int, kind: str
) -> None:
    torch.manual_seed(seed)
    model = BagClassifier(aggregator, 5, 3, kind, HOW).eval()
    features = torch.randn(sum(sizes), 5)
    together, weights = model(features, owners_of(sizes), len(sizes))
    for bag, own in enumerate(features.split(sizes)):
        shuffled = own[torch.randperm(len(own))]
        alone, _ = model(shuffled, torch.zeros(len(own), dtype=torch.long), 1)
        torch.testing.assert_close(alone[0], together[bag], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(bag_sums(weights, owners_of(sizes), len(sizes)), torch.ones(len(sizes)))


def test_the_softmax_of_a_bag_is_that_of_a_padded_one_whose_padding_is_masked() -> None:
    sizes, scores = [3, 1, 7], torch.randn(11, 2, generator=torch.Generator().manual_seed(0))
    found = bag_softmax(scores, owners_of(sizes), 3)
    padded = torch.full((3, 7, 2), float("-inf"))
    for bag, own in enumerate(scores.split(sizes)):
        padded[bag, : len(own)] = own
    expected = padded.softmax(dim=1)
    torch.testing.assert_close(found, torch.cat([expected[bag, :size] for bag, size in enumerate(sizes)]))


def test_a_softmax_of_scores_far_from_zero_is_finite() -> None:
    scores = torch.tensor([[1e4], [1e4], [-1e4]])
    assert bag_softmax(scores, torch.tensor([0, 0, 1]), 2)[:, 0].tolist() == [0.5, 0.5, 1.0]


def test_sums_and_maxima_are_those_of_each_bag() -> None:
    values, owner = torch.tensor([[1.0, -5.0], [2.0, -3.0], [-4.0, 0.5]]), torch.tensor([0, 0, 1])
    assert bag_sums(values, owner, 2).tolist() == [[3.0, -8.0], [-4.0, 0.5]]
    assert bag_maxima(values, owner, 2).tolist() == [[2.0, -3.0], [-4.0, 0.5]]


def test_the_mean_is_the_plain_one() -> None:
    slices = torch.randn(7, 4)
    pooled, weights = MeanPooling()(slices, owners_of([3, 4]), 2)
    torch.testing.assert_close(pooled, torch.stack([slices[:3].mean(0), slices[3:].mean(0)]))
    torch.testing.assert_close(weights, torch.tensor([1 / 3] * 3 + [1 / 4] * 4))


def test_attention_is_that_of_the_paper() -> None:
    """Ilse et al. 2018, equations 8 and 9, one bag, written out."""
    for gated in (False, True):
        pooling, slices = AttentionPooling(4, gated), torch.randn(5, 4)
        content = torch.tanh(slices @ pooling.content.weight.T + pooling.content.bias)
        if pooling.gate is not None:
            content = content * torch.sigmoid(slices @ pooling.gate.weight.T + pooling.gate.bias)
        weights = torch.softmax(content @ pooling.score.weight[0] + pooling.score.bias, dim=0)
        found, told = pooling(slices, torch.zeros(5, dtype=torch.long), 1)
        torch.testing.assert_close(told, weights)
        torch.testing.assert_close(found[0], weights @ slices)


def test_heads_attend_as_torch_s_own_multi_head_attention() -> None:
    pooling, slices = MultiheadPooling(8, 2), torch.randn(5, 8)
    seen = pooling.before(slices)
    weight = torch.cat([layer.weight for layer in (pooling.ask, pooling.key, pooling.value)])
    bias = torch.cat([layer.bias for layer in (pooling.ask, pooling.key, pooling.value)])
    attended, shares = F.multi_head_attention_forward(
        pooling.query[None], seen, seen, 8, 2, weight, bias, None, None, False, 0.0, pooling.out.weight,
        pooling.out.bias,
    )  # fmt: skip
    pooled = pooling.norm(pooling.query + attended)
    found, weights = pooling(slices, torch.zeros(5, dtype=torch.long), 1)
    torch.testing.assert_close(found, pooling.last_norm(pooled + pooling.after(pooled)))
    torch.testing.assert_close(weights, shares[0])


def test_at_least_a_higher_class_is_never_likelier() -> None:
    last = OrderedClasses(4, 5)
    torch.nn.init.normal_(last.gaps, std=3)
    logits = last(torch.randn(20, 4)).detach().numpy()
    assert (np.diff(logits, axis=1) < 0).all()
