"""Model E: patches are dropped inside the image tower, so that its upper blocks see fewer tokens."""

from typing import NamedTuple

import torch
from torch import Tensor

from cxrflow.patchib.masks import Scorer, kept_count, straight_through, top_mask, top_patches
from cxrflow.patchib.towers import Towers


class Dropped(NamedTuple):
    """Tokens (B, 1 + K, d) of the image and its K kept patches, their places (B, K), and all logits (B, M)."""

    tokens: Tensor
    places: Tensor
    logits: Tensor


def drop_tokens(towers: Towers, scorer: Scorer, images: Tensor, share: float) -> Dropped:
    """Run the lower blocks on all patches and the upper ones on the share with the highest logits."""
    lower = scorer.settings.drop_layer
    tokens = towers.through(towers.first_tokens(images), slice(0, lower))
    patches = tokens[:, 1:]
    logits = scorer(patches)
    count = kept_count(patches.shape[1], share)
    places = top_patches(logits, count)
    if scorer.training:
        patches = patches * straight_through(top_mask(logits, count), logits).unsqueeze(-1)
    kept = gather(patches, places)
    upper = towers.through(torch.cat([tokens[:, :1], kept], dim=1), slice(lower, None))
    return Dropped(towers.trunk.norm(upper), places, logits)


def gather(patches: Tensor, places: Tensor) -> Tensor:
    """Return (B, K, d): the patches (B, M, d) at some places (B, K)."""
    return patches.gather(1, places.unsqueeze(-1).expand(-1, -1, patches.shape[-1]))
