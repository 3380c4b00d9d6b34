"""Losses that several systems share."""

import torch
from torch import Tensor
from torch.nn import functional as F


def known_cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over the labels that are known; `truth` (B, C) is 0, 1 or NaN (ignored).

    Zero, with a gradient of zero, where a batch knows no label.
    """
    known = ~torch.isnan(truth)
    if not known.any():
        return logits.sum() * 0.0
    return F.binary_cross_entropy_with_logits(logits[known], truth[known])
