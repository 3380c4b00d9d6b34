"""Deletion and insertion curves: how the match with the report changes as patches are taken away or put back.

Patches are taken out of the tower's first block, so that every point is a real forward pass; the released code takes
them out of the last features, where models that read the class token never look.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxrflow.patchib.embedding import embed_kept, on_device
from cxrflow.patchib.model import PatchModel
from cxrflow.patchib.pairs import Pairs
from cxrflow.patchib.settings import EvaluationSettings


@torch.no_grad()
def removal_curves(model: PatchModel, data: Pairs, settings: EvaluationSettings) -> dict[str, NDArray]:
    """Return `curve/deletion` and `curve/insertion` (n, steps + 1), similarities to the own report as the most
    important patches go first or come first, and `curve/images` (n,), rows of the test split drawn once."""
    count = min(settings.curve_images, len(data))
    rows = np.sort(np.random.default_rng(settings.seed).choice(len(data), count, replace=False))
    curves: dict[str, list[NDArray]] = {"curve/deletion": [], "curve/insertion": []}
    for batch in on_device(model, data.at(rows), settings.batch_size):
        for name, values in _curves(model, batch, settings.steps).items():
            curves[name].append(values)
    return {name: np.concatenate(parts) for name, parts in curves.items()} | {"curve/images": rows}


def _curves(model: PatchModel, batch: dict[str, Tensor], steps: int) -> dict[str, NDArray]:
    towers = model.towers
    first = towers.first_tokens(batch["images"])
    text = towers.embed_text(towers.read(batch["tokens"]), batch["tokens"])
    importance = patch_importance(model, first, text)
    place = importance.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
    patches = importance.shape[1]
    removed = torch.linspace(0, patches, steps + 1).round().to(place.device)
    kept = {"curve/deletion": [place >= n for n in removed], "curve/insertion": [place < n for n in removed]}
    return {
        name: torch.stack([(embed_kept(model, first, mask.float()) * text).sum(dim=1) for mask in masks], dim=1)
        .float()
        .cpu()
        .numpy()
        for name, masks in kept.items()
    }


def patch_importance(model: PatchModel, first: Tensor, text: Tensor) -> Tensor:
    """Return (B, M) from first tokens (B, 1 + M, d): a model's own logits of its patches; without a mask, each patch's
    cosine to the report (B, D)."""
    seen = next(model.see_at(first, [None]))
    if seen.logits is not None:
        return seen.logits
    return torch.einsum("bmd,bd->bm", model.towers.embed(seen.patches), text)
