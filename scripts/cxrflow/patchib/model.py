"""The models 0 and A to E: the towers, and on top of them what the configuration adds."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cxrflow.contrastive import contrastive_loss
from cxrflow.networks import rest_frozen_norms
from cxrflow.patchib.fusion import MidFusion
from cxrflow.patchib.local_alignment import LocalAlignment
from cxrflow.patchib.losses import consistency_loss, sparsity_loss
from cxrflow.patchib.masks import Scorer, masked_mean, top_patches
from cxrflow.patchib.settings import ModelSettings
from cxrflow.patchib.token_drop import Scored, drop_tokens, gather, score_tokens
from cxrflow.towers import Towers, words_of
from cxrflow.training import Batch


class Seen(NamedTuple):
    """What a model makes of images: its embedding (B, D), the one of the full image where that is another (C, D), the
    states of the patches that count for words (B, K, d), logits (B, M) and mask (B, M) of its patches."""

    image: Tensor
    full: Tensor | None
    patches: Tensor
    logits: Tensor | None
    mask: Tensor | None


class PatchModel(nn.Module):
    """One model. Image embeddings never depend on a text (mid-fusion is a second view, in training only)."""

    def __init__(self, towers: Towers, settings: ModelSettings, marks: list[int]) -> None:
        super().__init__()
        self.towers, self.settings, self.marks = towers, settings, marks
        self.scorer = Scorer(towers.width, settings.mask) if settings.mask else None
        self.local = (
            LocalAlignment(towers.width, towers.text_width, towers.embedding, settings.local)
            if settings.local
            else None
        )
        self.fusion = MidFusion(towers, settings.fusion) if settings.fusion else None

    def train(self, mode: bool = True) -> "PatchModel":
        """Switch the mode; norms that do not learn keep their statistics."""
        super().train(mode)
        rest_frozen_norms(self)
        return self

    def see(self, images: Tensor, share: float | None = None) -> Seen:
        """Return what the model makes of grey images (B, 1, S, S) in 0..1, at its own or another share of patches."""
        return next(self.see_at(self.towers.first_tokens(images), [share]))

    def see_at(self, first: Tensor, shares: Sequence[float | None]) -> Iterator[Seen]:
        """Yield what the model makes of images, from their first tokens (B, 1 + M, d), at each of some shares of the
        patches (None is its own); what no share has a part in is computed once."""
        if self.scorer is not None and self.scorer.settings.kind == "token_drop":
            scored = score_tokens(self.towers, self.scorer, first)
            yield from (self._dropped(scored, self.scorer, share) for share in shares)
            return
        tokens = self.towers.after_all(first)
        full, patches = self.towers.embed(tokens[:, 0]), tokens[:, 1:]
        if self.scorer is None:
            yield from (Seen(full, None, patches, None, None) for _ in shares)
            return
        logits = self.scorer(patches)
        yield from (self._masked(full, patches, logits, self.scorer, share) for share in shares)

    def _masked(self, full: Tensor, patches: Tensor, logits: Tensor, scorer: Scorer, share: float | None) -> Seen:
        mask = scorer.mask(logits) if share is None else scorer.mask_at(logits, share)
        chosen = patches
        if scorer.settings.kind == "top_k":
            chosen = gather(patches, top_patches(logits, int(mask[0].sum().round())))
        return Seen(self.towers.embed(masked_mean(patches, mask)), full, chosen, logits, mask)

    def _dropped(self, scored: Scored, scorer: Scorer, share: float | None) -> Seen:
        dropped = drop_tokens(self.towers, scorer, scored, float(scorer.keep) if share is None else share)
        mask = torch.zeros_like(scored.logits).scatter(1, dropped.places, 1.0)
        return Seen(self.towers.embed(dropped.tokens[:, 0]), None, dropped.tokens[:, 1:], scored.logits, mask)

    def forward(self, batch: Batch) -> Tensor:
        """Return the loss of a batch of pairs (patchib/pairs.py) as the sum of its weighted parts."""
        return torch.stack(list(self.losses(batch).values())).sum()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted parts of the loss by name; each weight is that of the batch's `progress`."""
        progress = batch["progress"].max() if "progress" in batch else torch.ones((), device=batch["images"].device)
        if self.scorer is not None and self.training:
            self.scorer.anneal(progress)
        seen, states = self.see(batch["images"]), self.towers.read(batch["tokens"])
        text, scale = self.towers.embed_text(states, batch["tokens"]), self.towers.scale()
        groups = batch.get("texts")
        parts = {"contrastive": contrastive_loss(seen.image, text, scale, groups)}
        if self.local is not None:
            counted = words_of(batch["tokens"], self.marks)
            loss = self.local(seen.patches, states, counted, scale, groups)
            parts["local"] = self.local.settings.weight * ramp(progress, self.local.settings.warmup) * loss
        if self.fusion is not None and self.settings.fusion is not None and self.training:
            fused = self.fusion(self.towers, batch["images"], batch["tokens"])
            parts["fusion"] = self.settings.fusion.weight * contrastive_loss(fused[0], fused[1], scale, groups)
        return parts | self._mask_losses(seen, text, scale, groups, progress)

    def _mask_losses(
        self, seen: Seen, text: Tensor, scale: Tensor, groups: Tensor | None, progress: Tensor
    ) -> dict[str, Tensor]:
        if self.scorer is None or seen.logits is None or seen.mask is None:
            return {}
        mask, parts = self.scorer.settings, {}
        weight = mask.sparsity_weight * ramp(progress, mask.warmup)
        parts["sparsity"] = weight * sparsity_loss(seen.logits, self.scorer.keep, mask.per_image)
        if seen.full is not None:
            parts["full"] = mask.full_weight * contrastive_loss(seen.full, text, scale, groups)
            parts["consistency"] = mask.consistency_weight * consistency_loss(seen.image, seen.full, text, scale)
        return parts


def ramp(progress: Tensor, warmup: float) -> Tensor:
    """Return how much of a weight counts: it grows from 0 to 1 over the first share of the training."""
    return (progress / warmup).clamp(max=1) if warmup else torch.ones_like(progress)
