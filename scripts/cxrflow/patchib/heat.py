"""Where on a radiograph a model sees a finding's prompt: the similarity of each patch to its words."""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxrflow.patchib.model import PatchModel
from cxrflow.patchib.pairs import Pairs
from cxrflow.patchib.prompts import finding_prompts
from cxrflow.patchib.settings import EvaluationSettings
from cxrflow.towers import WordPieces, words_of


@torch.no_grad()
def heat_of_prompts(
    model: PatchModel, words: WordPieces, data: Pairs, boxed: pd.DataFrame, settings: EvaluationSettings
) -> NDArray[np.float32]:
    """Return (n, M): for each row of `boxed` (prompts.boxed_findings) the heat of its finding on its radiograph.

    With local alignment it is the mean over the prompt's words of their cosine to each patch; without, the cosine of
    each patch, taken for the image, to the prompt. All patches of the whole image take part, whatever is masked.
    """
    findings = sorted(set(boxed["finding"]))
    heat = np.zeros((len(boxed), model.towers.grid[0] * model.towers.grid[1]), dtype=np.float32)
    if not findings:
        return heat
    device = next(model.parameters()).device
    tokens = words.encode(finding_prompts(findings, settings.templates)[0, :, 0].tolist()).to(device)
    positions = np.unique(boxed["position"].to_numpy())
    for start in range(0, len(positions), settings.batch_size):
        some = positions[start : start + settings.batch_size]
        maps = _maps(model, data.batch(some)["images"].to(device), tokens)
        rows = np.flatnonzero(boxed["position"].isin(some))
        image = np.searchsorted(some, boxed["position"].to_numpy()[rows])
        finding = np.searchsorted(findings, boxed["finding"].to_numpy()[rows].astype(str))
        heat[rows] = maps[image, finding]
    return heat


def _maps(model: PatchModel, images: Tensor, tokens: Tensor) -> NDArray[np.float32]:
    """Return (B, prompts, M) of images and the words (prompts, L) of prompts."""
    towers = model.towers
    patches, states = towers.last_tokens(images)[:, 1:], towers.read(tokens)
    if model.local is None:
        maps = torch.einsum("bmd,pd->bpm", towers.embed(patches), towers.embed_text(states, tokens))
        return maps.float().cpu().numpy()
    seen, said = model.local.project(patches, states)
    counted = words_of(tokens, model.marks).float()
    share = counted / counted.sum(dim=1, keepdim=True)
    return torch.einsum("bmd,pld,pl->bpm", seen, said, share).float().cpu().numpy()
