"""The symmetric contrastive loss of two kinds of examples that belong together in pairs (or in groups)."""

import torch
from torch import Tensor
from torch.nn import functional as F


def contrastive_loss(one: Tensor, other: Tensor, scale: Tensor, groups: Tensor | None = None) -> Tensor:
    """Return InfoNCE of unit embeddings (B, D) and (B, D), the mean of both directions (van den Oord et al. 2018).

    Row i of one belongs to row i of the other. With `groups` (B,) int64 it belongs to all rows of its group alike: two
    images of a study, or two studies with the same report, are no negatives of each other.
    """
    return contrastive_from(scale * one @ other.T, groups)


def contrastive_from(similarity: Tensor, groups: Tensor | None = None) -> Tensor:
    """Return InfoNCE of scaled similarities (B, B), the mean of both directions; groups as in `contrastive_loss`."""
    targets = positives(len(similarity), groups, similarity.device)
    forwards, backwards = similarity.float(), similarity.float().T
    return 0.5 * (F.cross_entropy(forwards, targets) + F.cross_entropy(backwards, targets))


def positives(count: int, groups: Tensor | None, device: torch.device) -> Tensor:
    """Return which row belongs to which: indices (B,), or (B, B) shares that sum to 1 over the rows of a group."""
    if groups is None:
        return torch.arange(count, device=device)
    same = (groups[:, None] == groups[None, :]).float()
    return same / same.sum(dim=1, keepdim=True)
