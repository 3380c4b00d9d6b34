"""Exports patch features and the attention that a report pays to each patch: one forward pass per radiograph, ever."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cxrflow.files import atomic_path, write_table
from cxrflow.neural.cohort_files import CohortFiles
from cxrflow.neural.dataset import RadiographReports, pair
from cxrflow.neural.settings import PATCHES, AttentionSettings, DataSettings, VlmSettings
from cxrflow.neural.tokenizer import END_ID, PAD_ID, load_tokenizer
from cxrflow.neural.vlm import VisionLanguageModel, load_weights
from cxrflow.training import prepare_torch, this_device

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportFiles:
    """The export of one split: features (N, 144, d) float16, attention (N, layers, 144) float32, and whose they are."""

    features: Path
    attention: Path
    images: Path


def export_attention(
    cohort: CohortFiles,
    weights: Path,
    tokenizer: Path,
    split: str,
    outputs: ExportFiles,
    data: DataSettings,
    settings: VlmSettings,
    attention: AttentionSettings,
    threads: int,
) -> None:
    """Run the trained model over one split, teacher-forced with the reference reports, and write its attention."""
    prepare_torch(threads, settings.seed)
    words = load_tokenizer(tokenizer)
    samples = cohort.samples(list(data.labels), data.uncertain)
    samples = samples[samples["split"] == split]
    pairs = pair(cohort.store(), samples, list(data.labels), words, settings.decoder.max_text_length)
    model = VisionLanguageModel(settings, data.image_size, len(data.labels), words.get_vocab_size())
    load_weights(model, weights)
    _write_arrays(model.to(this_device()).eval(), pairs, outputs, attention)
    write_table(outputs.images, samples[["image_id", "patient_id", "study_id", "split"]])
    logger.info("%s: attention of %d radiographs", split, len(pairs))


def _write_arrays(
    model: VisionLanguageModel, pairs: RadiographReports, outputs: ExportFiles, settings: AttentionSettings
) -> None:
    shape = (len(pairs), PATCHES, model.encoder.width)
    attention, start = [], 0
    with atomic_path(outputs.features) as temporary:
        features = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
        for batch in pairs.in_order(settings.batch_size):
            patches, scores = attend(model, batch["images"], batch["tokens"], settings.tokens)
            features[start : start + len(patches)] = patches
            attention.append(scores)
            start += len(patches)
        features.flush()
    with atomic_path(outputs.attention) as temporary:
        np.save(temporary, np.concatenate(attention))


@torch.no_grad()
def attend(model: nn.Module, images: Tensor, tokens: Tensor, which: str) -> tuple[np.ndarray, np.ndarray]:
    """Return patch features (B, 144, d) float16 and attention (B, layers, 144) float32 of a batch."""
    device = this_device()
    output = model(images.to(device), tokens.to(device), attentions=True)
    chosen = chosen_tokens(tokens, which).to(device)
    if not output.cross_attentions:
        raise RuntimeError("the decoder gave no cross-attentions: it must run with attn_implementation='eager'")
    scores = torch.stack([patch_attention(layer, chosen) for layer in output.cross_attentions], dim=1)
    return output.patches.half().cpu().numpy(), scores.cpu().numpy()


def chosen_tokens(tokens: Tensor, which: str) -> Tensor:
    """Return a mask (B, T): every token but padding (`all`), or without the end of text too (`content`).

    A report without content keeps its end of text, so that every radiograph has a score.
    """
    real = tokens != PAD_ID
    if which == "all":
        return real
    content = real & (tokens != END_ID)
    return torch.where(content.any(dim=1, keepdim=True), content, real)


def patch_attention(cross_attention: Tensor, chosen: Tensor) -> Tensor:
    """Return (B, 144): the mean of one layer's attention (B, heads, T, 144) over heads and chosen tokens (B, T).

    The mean runs over the token axis; the released code left it in, and pruned token positions instead of
    patches. Each row sums to 1, since each token's attention does.
    """
    batch, _, length, patches = cross_attention.shape
    if patches != PATCHES or chosen.shape != (batch, length):
        raise ValueError(
            f"attention {tuple(cross_attention.shape)} does not fit {PATCHES} patches, {tuple(chosen.shape)}"
        )
    share = chosen.float() / chosen.sum(dim=1, keepdim=True)
    scores = torch.einsum("btp,bt->bp", cross_attention.float().mean(dim=1), share)
    if not torch.allclose(scores.sum(dim=1), torch.ones_like(scores[:, 0]), atol=1e-3):
        raise ValueError("attention does not sum to 1 over the patches: was dropout on, or the precision too low?")
    return scores
