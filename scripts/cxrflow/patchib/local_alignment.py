"""Alignment of words with patches: words rebuilt from patches, or each one's best match (FILIP)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrflow.contrastive import contrastive_from
from cxrflow.patchib.settings import LocalSettings

_ROWS = 16  # images whose patches meet all words at once


class LocalAlignment(nn.Module):
    """Patches and words in one space of width D, and how well they agree.

    Patches are (B, K, d), K of M, words (B, L, e) with a mask (B, L) of those that count: marks at the ends of a text,
    padding and, where there are any others, nothing else is left out.
    """

    def __init__(self, width: int, text_width: int, embedding: int, settings: LocalSettings) -> None:
        super().__init__()
        self.settings = settings
        self.patch_projection = nn.Linear(width, embedding)
        self.word_projection = nn.Linear(text_width, embedding)
        self.attention: nn.MultiheadAttention | None = None
        if settings.kind == "cross_attention":
            self.attention = nn.MultiheadAttention(embedding, settings.heads, settings.dropout, batch_first=True)
            self.rebuild = nn.Linear(embedding, embedding)

    def project(self, patches: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Return patches (B, K, D) and words (B, L, D) of unit length."""
        return F.normalize(self.patch_projection(patches), dim=-1), F.normalize(self.word_projection(words), dim=-1)

    def forward(self, patches: Tensor, words: Tensor, counted: Tensor, scale: Tensor, texts: Tensor | None) -> Tensor:
        """Return the loss; `scale` and `texts` (B,) as in the contrastive loss (FILIP)."""
        patches, words = self.project(patches, words)
        if self.attention is None:
            return contrastive_from(scale * filip_similarity(patches, words, counted), texts)
        attended, _ = self.attention(words, patches, patches, need_weights=False)
        loss = rebuilt_loss(self.rebuild(attended), words, counted, self.settings.distance)
        if not self.settings.symmetric:
            return loss
        everywhere = torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)
        back = rebuilt_loss(from_words(patches, words, counted), patches, everywhere, self.settings.distance)
        return 0.5 * (loss + back)


def rebuilt_loss(rebuilt: Tensor, target: Tensor, counted: Tensor, distance: str) -> Tensor:
    """Return the mean distance of (B, L, D) from (B, L, D) over the places that count (B, L)."""
    if distance == "cosine":
        each = 1 - F.cosine_similarity(rebuilt.float(), target.float(), dim=-1)
    else:
        each = (rebuilt.float() - target.float()).square().mean(dim=-1)
    return (each * counted).sum() / counted.sum().clamp(min=1)


def from_words(patches: Tensor, words: Tensor, counted: Tensor) -> Tensor:
    """Return (B, K, D): each patch rebuilt from the words that count, by scaled dot products."""
    scores = patches @ words.transpose(1, 2) / math.sqrt(words.shape[-1])
    scores = scores.masked_fill(~counted[:, None, :], float("-inf"))
    return torch.softmax(scores, dim=-1) @ words


def filip_similarity(patches: Tensor, words: Tensor, counted: Tensor) -> Tensor:
    """Return (B, B): how well every image matches every text by late interaction (Yao et al. 2022, equations 2 to 4).

    The mean over patches of the best word, and over words of the best patch, averaged. A few images meet all texts at
    a time: never more than their cosines are held.
    """
    return torch.cat([_late_interaction(part, words, counted) for part in patches.split(_ROWS)])


def _late_interaction(patches: Tensor, words: Tensor, counted: Tensor) -> Tensor:
    """Return (b, B) of patches (b, K, D) and words (B, L, D).

    For the gradient the places of the best (`max`) are kept, where `amax` would keep all cosines.
    """
    cosines = torch.einsum("ikd,jld->ijkl", patches, words)
    best_word = cosines.masked_fill(~counted[None, :, None, :], -1.0).max(dim=3).values.mean(dim=2)
    best_patch = (cosines.max(dim=2).values * counted).sum(dim=2) / counted.sum(dim=1)
    return 0.5 * (best_word + best_patch)
