"""Masks keep what they say they keep, and gradients pass through them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cxrflow.patchib.losses import consistency_loss, sparsity_loss
from cxrflow.patchib.masks import (
    Scorer,
    kept_count,
    masked_mean,
    straight_through,
    threshold_mask,
    top_mask,
    top_patches,
)
from cxrflow.patchib.settings import MaskSettings

logits_of = st.lists(st.integers(-3, 3), min_size=2, max_size=12)


@given(logits_of, st.integers(1, 12))
def test_top_masks_keep_exactly_so_many_and_none_that_is_lower(values: list[int], count: int) -> None:
    logits = torch.tensor([values], dtype=torch.float32)
    count = min(count, len(values))
    mask = top_mask(logits, count)[0].bool()
    assert int(mask.sum()) == count
    if count < len(values):
        assert logits[0][mask].min() >= logits[0][~mask].max()
    assert top_patches(logits, count)[0].tolist() == torch.where(mask)[0].tolist()


@given(logits_of, st.integers(1, 3))
def test_threshold_masks_are_never_empty(values: list[int], least: int) -> None:
    logits = torch.tensor([values], dtype=torch.float32)
    mask = threshold_mask(logits, min(least, len(values)))
    assert mask.sum() == max(min(least, len(values)), int((logits > 0).sum()))
    assert (mask >= (logits > 0)).all()


@pytest.mark.parametrize(
    ("patches", "share", "count"), [(196, 0.25, 49), (196, 0.127, 24), (196, 1.0, 196), (64, 0.001, 1)]
)
def test_a_share_is_rounded_down_but_one_patch_stays(patches: int, share: float, count: int) -> None:
    assert kept_count(patches, share) == count


def test_the_gradient_passes_as_if_there_were_no_threshold() -> None:
    logits = torch.tensor([[-1.0, 2.0, 0.5]], requires_grad=True)
    weights = torch.tensor([[3.0, 5.0, 7.0]])
    (straight_through(threshold_mask(logits, 1), logits) * weights).sum().backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, weights)


def test_the_masked_mean_is_the_mean_of_what_is_kept() -> None:
    patches = torch.tensor([[[1.0], [2.0], [6.0]]])
    assert float(masked_mean(patches, torch.tensor([[1.0, 0.0, 1.0]]))) == pytest.approx(3.5)


def test_share_and_temperature_fall_to_their_ends_and_are_saved() -> None:
    scorer = Scorer(8, MaskSettings(kind="top_k", keep=0.5, keep_start=0.75, anneal=0.5))
    shares = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        scorer.anneal(torch.tensor(progress))
        shares.append(float(scorer.keep))
    assert shares == pytest.approx([0.75, 0.625, 0.5, 0.5])
    assert float(scorer.temperature) == pytest.approx(0.1)
    assert {"keep", "temperature"} <= set(scorer.state_dict())


def test_noise_is_drawn_in_training_only() -> None:
    scorer = Scorer(8, MaskSettings(kind="threshold", gumbel=True))
    logits = torch.full((64, 32), 0.1)
    torch.manual_seed(0)
    drawn = scorer.train().mask(logits)
    assert 0 < float(drawn.detach().mean()) < 1
    assert (scorer.eval().mask(logits) == 1).all()


def test_the_sparsity_target_is_each_images_own() -> None:
    logits = torch.tensor([[1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, -1.0, -1.0]])
    half = torch.tensor(0.5)
    assert float(sparsity_loss(logits, half, per_image=False)) == pytest.approx(0.0, abs=1e-12)
    assert float(sparsity_loss(logits, half, per_image=True)) == pytest.approx(0.25)


def test_consistency_is_the_scaled_difference_of_similarities() -> None:
    text = torch.tensor([[1.0, 0.0]])
    masked, full = torch.tensor([[0.6, 0.8]]), torch.tensor([[0.8, 0.6]])
    assert float(consistency_loss(masked, full, text, torch.tensor(10.0))) == pytest.approx(4.0)
