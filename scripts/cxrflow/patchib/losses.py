"""The losses of masks: how many patches are kept, and whether the masked image says the same as the full one."""

import torch
from torch import Tensor


def sparsity_loss(logits: Tensor, target: Tensor, per_image: bool) -> Tensor:
    """Return the squared distance of the share of logits (B, M) above 0 from the target, with the sigmoid's gradient.

    The share is that of each image, or of the whole batch as in the released code, where one image may keep
    everything and another nothing.
    """
    soft = torch.sigmoid(logits.float())
    hard = (logits > 0).float()
    kept = hard + (soft - soft.detach())
    share = kept.mean(dim=1) if per_image else kept.mean()
    return (share - target).square().mean()


def consistency_loss(masked: Tensor, full: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """Return the mean squared difference of scaled similarities to the own text, masked against full (B, D) each."""
    difference = scale * ((masked - full) * text).sum(dim=-1)
    return difference.square().mean()
