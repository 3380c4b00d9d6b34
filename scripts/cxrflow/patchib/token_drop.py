"""Model E: patches are dropped inside the image tower, so that its upper blocks see fewer tokens."""

from typing import NamedTuple

import torch
from torch import Tensor

from cxrflow.patchib.masks import Scorer, kept_count, straight_through, top_mask, top_patches
from cxrflow.towers import Towers


class Scored(NamedTuple):
    """Tokens (B, 1 + M, d) of the image and all patches after the lower blocks, and the patches' logits (B, M)."""

    tokens: Tensor
    logits: Tensor


class Dropped(NamedTuple):
    """Tokens (B, 1 + K, d) of the image and its K kept patches after all blocks, and the patches' places (B, K)."""

    tokens: Tensor
    places: Tensor


def score_tokens(towers: Towers, scorer: Scorer, first: Tensor) -> Scored:
    """Run the lower blocks on the first tokens (B, 1 + M, d) of all patches and score these."""
    tokens = towers.through(first, slice(0, scorer.settings.drop_layer))
    return Scored(tokens, scorer(tokens[:, 1:]))


def drop_tokens(towers: Towers, scorer: Scorer, scored: Scored, share: float) -> Dropped:
    """Run the upper blocks on the share of the patches with the highest logits."""
    tokens, logits = scored
    patches = tokens[:, 1:]
    count = kept_count(patches.shape[1], share)
    places = top_patches(logits, count)
    if scorer.training:
        patches = patches * straight_through(top_mask(logits, count), logits).unsqueeze(-1)
    kept = gather(patches, places)
    upper = towers.through(torch.cat([tokens[:, :1], kept], dim=1), slice(scorer.settings.drop_layer, None))
    return Dropped(towers.trunk.norm(upper), places)


def gather(patches: Tensor, places: Tensor) -> Tensor:
    """Return (B, K, d): the patches (B, M, d) at some places (B, K)."""
    return patches.gather(1, places.unsqueeze(-1).expand(-1, -1, patches.shape[-1]))
