"""Masks are those of torch.nn.utils.prune, weight for weight, ties included."""

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from cxrflow.prunecxr.pruning import DenseWeights, prunable_weights, pruned_count, smallest

SPARSITIES = tuple(round(0.05 * step, 2) for step in range(20))


def network(channels_last: bool = False) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 24, 1), nn.Flatten(), nn.Linear(24 * 16, 5)
    )
    return model.to(memory_format=torch.channels_last) if channels_last else model


def tied(model: nn.Module) -> nn.Module:
    """Round all weights, so that most magnitudes occur many times."""
    with torch.no_grad():
        for weight in prunable_weights(model).values():
            weight.copy_((weight * 40).round() / 40)
    return model


def masks_of_torch(model: nn.Module, sparsity: float) -> np.ndarray:
    layers = [(layer, "weight") for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=sparsity)
    return np.concatenate([layer.weight_mask.contiguous().flatten().numpy() == 0 for layer, _ in layers])


@pytest.mark.parametrize("make", [network, lambda: tied(network())], ids=["trained-like", "tied magnitudes"])
def test_masks_are_those_of_torch_at_every_sparsity(make):
    masks = DenseWeights.of(make()).masks("l1", SPARSITIES, seed=0)
    for sparsity, mask in zip(SPARSITIES, masks, strict=True):
        assert np.array_equal(mask, masks_of_torch(make(), sparsity)), sparsity


def test_masks_of_resnet_50_are_those_of_torch_where_magnitudes_are_tied():
    torch.manual_seed(0)
    model = timm.create_model("resnet50", num_classes=20)
    assert len(prunable_weights(model)) == 54
    dense = DenseWeights.of(model)
    assert dense.size == 23_454_912 + 2048 * 20
    shares = (0.3, 0.9)
    for share, mask in zip(shares, dense.masks("l1", shares, seed=0), strict=True):
        assert np.count_nonzero(mask) == round(share * dense.size)
        again = timm.create_model("resnet50", num_classes=20)
        again.load_state_dict(model.state_dict())
        assert np.array_equal(mask, masks_of_torch(again, share))


@pytest.mark.parametrize("method", ["l1", "random", "layerwise"])
def test_exactly_the_rounded_share_is_zero_and_masks_are_nested(method):
    dense = DenseWeights.of(network())
    before = np.zeros(dense.size, dtype=bool)
    for share, mask in zip(SPARSITIES, dense.masks(method, SPARSITIES, seed=3), strict=True):
        sizes = dense.sizes if method == "layerwise" else [dense.size]
        assert np.count_nonzero(mask) == sum(round(share * size) for size in sizes)
        assert not (before & ~mask).any()
        before = mask


def test_each_layer_loses_its_own_smallest_weights():
    model = network()
    with torch.no_grad():
        model[0].weight.mul_(100)
    layerwise, together = (next(DenseWeights.of(model).masks(method, [0.5], 0)) for method in ("layerwise", "l1"))
    first = model[0].weight.numel()
    assert layerwise[:first].mean() == 0.5
    assert together[:first].mean() < 0.1


def test_random_masks_hang_on_the_seed_alone():
    dense = DenseWeights.of(network())
    first, again, other = (next(dense.masks("random", [0.5], seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_network_is_pruned_in_place_and_comes_back(channels_last):
    model = network(channels_last)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    dense = DenseWeights.of(model)
    mask, nothing = next(dense.masks("l1", [0.9], 0)), np.zeros(dense.size, dtype=bool)
    dense.prune(mask)
    flat = np.concatenate([weight.detach().contiguous().flatten().numpy() for weight in dense.weights.values()])
    assert np.array_equal(flat == 0, mask)
    unpruned = {name for name, tensor in model.state_dict().items() if torch.equal(tensor, before[name])}
    assert {"0.bias", "1.weight", "1.running_mean", "5.bias"} <= unpruned
    dense.prune(nothing)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.data())
def test_what_is_kept_is_never_smaller_than_what_goes(values, data):
    magnitudes = np.array(values, dtype=np.float32)
    counts = sorted(data.draw(st.lists(st.integers(0, len(values)), min_size=1, max_size=4)))
    for count, mask in zip(counts, smallest(magnitudes, counts), strict=True):
        assert np.count_nonzero(mask) == count
        if 0 < count < len(values):
            assert magnitudes[mask].max() <= magnitudes[~mask].min()


def test_half_a_weight_is_rounded_to_even_as_torch_does():
    assert [pruned_count(0.5, size) for size in (1, 3, 5)] == [0, 2, 2]
