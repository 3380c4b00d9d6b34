"""InfoNCE by hand, and groups whose members are no negatives of each other."""

import math

import pytest
import torch

from cxrflow.contrastive import contrastive_loss, positives

ONE = torch.eye(3)
SCALE = torch.tensor(2.0)


def test_perfect_pairs_by_hand() -> None:
    expected = -math.log(math.exp(2) / (math.exp(2) + 2))
    assert float(contrastive_loss(ONE, ONE, SCALE)) == pytest.approx(expected)


def test_groups_of_one_are_pairs() -> None:
    torch.testing.assert_close(
        contrastive_loss(ONE, ONE.roll(1, 0), SCALE, torch.tensor([5, 9, 7])),
        contrastive_loss(ONE, ONE.roll(1, 0), SCALE),
    )


def test_two_images_of_one_report_share_its_target() -> None:
    images, texts = torch.eye(4)[[0, 0, 1]], torch.eye(4)[[0, 0, 1]]
    pairs, grouped = (contrastive_loss(images, texts, 50 * SCALE, group) for group in (None, torch.tensor([3, 3, 8])))
    assert float(pairs) == pytest.approx(2 / 3 * math.log(2), abs=1e-5)
    assert float(grouped) == pytest.approx(2 / 3 * math.log(2), abs=1e-5), "the entropy of the target stays"
    leaning = texts.clone().requires_grad_()
    contrastive_loss(images, leaning, 50 * SCALE, torch.tensor([3, 3, 8])).backward()
    assert leaning.grad is not None
    assert float(leaning.grad.abs().max()) < 1e-4, "nothing pulls equal texts apart"


def test_targets_sum_to_one() -> None:
    torch.testing.assert_close(positives(4, torch.tensor([1, 2, 1, 1]), torch.device("cpu")).sum(dim=1), torch.ones(4))
