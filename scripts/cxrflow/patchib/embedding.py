"""Embeddings of radiographs and reports, a batch at a time, by a model in its present mode."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxrflow.patchib.model import PatchModel
from cxrflow.patchib.pairs import Pairs
from cxrflow.radiographs import in_order

Floats = NDArray[np.float32]


class Embedded(NamedTuple):
    """Unit embeddings (N, D) of N radiographs by kind (`EMBEDDINGS` says which), and of their reports (N, D); logits
    and masks of patches (N, M) float32, (N, 0) where a model has none."""

    images: dict[str, Floats]
    texts: Floats
    logits: Floats
    masks: Floats


OWN, FULL, DROPPED = "own", "full", "kept tokens"
EMBEDDINGS = {
    OWN: "what the model is trained to match with the report: masked (C, D), with tokens dropped (E), of the whole",
    FULL: "the class token of the whole radiograph",
    DROPPED: "the class token of a pass on the kept patches alone",
}


@torch.no_grad()
def embed_pairs(model: PatchModel, data: Pairs, size: int) -> Embedded:
    """Return the embeddings of all pairs, in order."""
    parts = [_embed(model, batch) for batch in on_device(model, data, size)]
    images = {kind: np.concatenate([part.images[kind] for part in parts]) for kind in parts[0].images}
    rest = (np.concatenate([getattr(part, name) for part in parts]) for name in ("texts", "logits", "masks"))
    return Embedded(images, *rest)


def embed_images(model: PatchModel, data: Pairs, size: int) -> Floats:
    """Return the model's own embeddings (N, D) of the images."""
    return embed_at(model, data, size, [None])[0]


@torch.no_grad()
def embed_at(model: PatchModel, data: Pairs, size: int, shares: Sequence[float | None]) -> list[Floats]:
    """Return embeddings (N, D) of the images for each of some shares of their patches (None is the model's own)."""
    batches = (model.towers.first_tokens(batch["images"]) for batch in on_device(model, data, size))
    seen = [[_numpy(seen.image) for seen in model.see_at(first, shares)] for first in batches]
    return [np.concatenate(parts) for parts in zip(*seen, strict=True)]


@torch.no_grad()
def embed_prompts(model: PatchModel, tokens: Tensor) -> Floats:
    """Return the embeddings (N, D) of texts (N, L)."""
    tokens = tokens.to(next(model.parameters()).device)
    return model.towers.embed_text(model.towers.read(tokens), tokens).float().cpu().numpy()


def _embed(model: PatchModel, batch: dict[str, Tensor]) -> Embedded:
    towers, first = model.towers, model.towers.first_tokens(batch["images"])
    seen = next(model.see_at(first, [None]))
    texts = towers.embed_text(towers.read(batch["tokens"]), batch["tokens"])
    images = {OWN: seen.image}
    if seen.mask is not None:
        images[FULL] = towers.embed(towers.after_all(first)[:, 0]) if seen.full is None else seen.full
        if seen.full is not None:
            images[DROPPED] = embed_kept(model, first, seen.mask)
    nothing = np.zeros((len(batch["images"]), 0), dtype=np.float32)
    logits, masks = (nothing if value is None else _numpy(value) for value in (seen.logits, seen.mask))
    return Embedded({kind: _numpy(value) for kind, value in images.items()}, _numpy(texts), logits, masks)


def embed_kept(model: PatchModel, tokens: Tensor, mask: Tensor) -> Tensor:
    """Return the embedding (B, D) of a pass that sees the kept patches alone, from the first block on.

    `tokens` are the first ones (B, 1 + M, d), `mask` (B, M) is 1 where a patch is kept.

    Images keep different numbers: the tokens of those that keep less are masked in every attention.
    """
    towers = model.towers
    seen = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1) > 0.5
    for block in towers.trunk.blocks:
        tokens = block(tokens, attn_mask=seen[:, None, None, :])
    return towers.embed(towers.trunk.norm(tokens)[:, 0])


def on_device(model: PatchModel, data: Pairs, size: int) -> Iterator[dict[str, Tensor]]:
    """Yield the pairs in order, a batch at a time, on the model's device."""
    device = next(model.parameters()).device
    for batch in in_order(data, size):
        yield {name: value.to(device) for name, value in batch.items()}


def _numpy(values: Tensor) -> Floats:
    return values.float().cpu().numpy()
