"""The loss of classifiers, and where their training starts."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def known_cross_entropy(logits: Tensor, truth: Tensor, positive_weight: Tensor | None = None) -> Tensor:
    """Return the mean binary cross-entropy over the labels that are known; `truth` (B, C) is 0, 1 or NaN (ignored).

    Zero, with a gradient of zero, where a batch knows no label. `positive_weight` (C,) is that of positives.
    """
    known = ~torch.isnan(truth)
    if not known.any():
        return logits.sum() * 0.0
    weight = None if positive_weight is None else positive_weight.expand_as(truth)[known]
    return F.binary_cross_entropy_with_logits(logits[known], truth[known], pos_weight=weight)


def start_at_frequencies(last: nn.Linear, truth: Tensor) -> None:
    """Let the first guess be each finding's frequency in truth (N, findings) of 0, 1 or NaN (unknown).

    From elsewhere the first epochs learn little but how rare findings are (Lin et al. 2017, section 3.3).
    """
    frequency = (truth.nansum(dim=0) + 1) / ((~truth.isnan()).sum(dim=0) + 2)
    with torch.no_grad():
        last.bias.copy_(torch.logit(frequency))
