"""Exports patch features and the attention that reports pay to each patch: the encoder once, the decoder per text."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import atomic_array, atomic_path, write_arrays, write_table
from cxrflow.neural.alignment import read_entity_characters
from cxrflow.neural.dataset import split_samples
from cxrflow.neural.settings import PATCHES, AttentionSettings, DataSettings, VlmSettings
from cxrflow.neural.texts import TextFiles, read_texts
from cxrflow.neural.tokenizer import END_ID, PAD_ID, covering, encode, load_tokenizer, trimmed
from cxrflow.neural.vlm import VisionLanguageModel, load_model
from cxrflow.radiographs import image_batches
from cxrflow.training import prepare_torch, this_device

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportFiles:
    """The export of one split of N images.

    features (N, 144, d) float16 and their norms (N, 144) float32 do not depend on any text; attention (npz) has one
    array (N, layers, 144) float32 per text setting; images tells whose they are.
    """

    features: Path
    norms: Path
    attention: Path
    images: Path


@dataclass(frozen=True)
class Guide:
    """One text setting: a report per image, and which of its characters count (None: all)."""

    texts: Sequence[str]
    marked: Sequence[NDArray[np.bool_]] | None = None

    @classmethod
    def read(cls, files: TextFiles, images: Sequence[str], which: str) -> "Guide":
        """Read the reports of `images`; with `entities` their graphs say which characters count."""
        texts = read_texts(files, images)
        return cls(texts, read_entity_characters(files.graphs, images, texts) if which == "entities" else None)

    def tokens(self, words: Tokenizer, part: slice, length: int, which: str) -> tuple[Tensor, Tensor]:
        """Return the tokens (B, T) of a part of the reports, and which of them count (B, T)."""
        tokens = trimmed(encode(words, self.texts[part], length))
        entities = None
        if self.marked is not None:
            entities = covering(words, self.texts[part], self.marked[part], length)[:, : tokens.shape[1]]
        return tokens, chosen_tokens(tokens, which, entities)


def export_attention(
    cohort: CohortFiles,
    weights: Path,
    tokenizer: Path,
    texts: Mapping[str, TextFiles],
    split: str,
    outputs: ExportFiles,
    data: DataSettings,
    settings: VlmSettings,
    attention: AttentionSettings,
    threads: int,
) -> None:
    """Run the trained model over one split, teacher-forced with the reports of each text setting."""
    prepare_torch(threads, settings.seed)
    words = load_tokenizer(tokenizer)
    samples = split_samples(cohort, split)
    guides = {name: Guide.read(files, samples["image_id"].tolist(), attention.tokens) for name, files in texts.items()}
    model = load_model(weights, data, settings, words.get_vocab_size())
    length = settings.decoder.max_text_length
    shape = (len(samples), model.layers, PATCHES)
    scores = {name: np.empty(shape, dtype=np.float32) for name in guides}
    norms = np.empty((len(samples), PATCHES), dtype=np.float32)
    with atomic_array(outputs.features, np.float16, (len(samples), PATCHES, model.encoder.width)) as features:
        for part, images in image_batches(cohort.store(), samples, attention.batch_size):
            patches = encode_images(model, images)
            features[part], norms[part] = patches.half().cpu().numpy(), patches.float().norm(dim=2).cpu().numpy()
            for name, guide in guides.items():
                scores[name][part] = attend(model, patches, *guide.tokens(words, part, length, attention.tokens))
    with atomic_path(outputs.norms) as temporary:
        np.save(temporary, norms)
    write_arrays(outputs.attention, scores.items())
    write_table(outputs.images, samples[["image_id", "patient_id", "study_id", "split"]])
    logger.info("%s: attention of %d radiographs to %s texts", split, len(samples), ", ".join(guides))


@torch.no_grad()
def encode_images(model: VisionLanguageModel, images: Tensor) -> Tensor:
    """Return the patch features (B, 144, d) of images (B, 1, S, S) in 0..1; no text has a part in them."""
    return model.encoder(images.to(this_device()))


@torch.no_grad()
def attend(model: VisionLanguageModel, patches: Tensor, tokens: Tensor, chosen: Tensor) -> NDArray[np.float32]:
    """Return the attention (B, layers, 144) that the chosen ones (B, T) of a report's tokens (B, T) pay to patches."""
    layers = model.cross_attentions(patches, tokens.to(patches.device))
    if not layers:
        raise RuntimeError("the decoder gave no cross-attentions: it must run with attn_implementation='eager'")
    counted = chosen.to(patches.device)
    return torch.stack([patch_attention(layer, counted) for layer in layers], dim=1).cpu().numpy()


def chosen_tokens(tokens: Tensor, which: str, entities: Tensor | None = None) -> Tensor:
    """Return a mask (B, T) of the tokens that count: every one but padding (`all`), without the end of text too
    (`content`), or those of them that `entities` (B, T) marks (`entities`).

    A report without any entity counts with its content, one without content with its end of text, so that every
    radiograph has a score.
    """
    real = tokens != PAD_ID
    if which == "all":
        return real
    content = _or_else(real & (tokens != END_ID), real)
    return content if entities is None else _or_else(content & entities, content)


def _or_else(wanted: Tensor, other: Tensor) -> Tensor:
    """Return the rows of `wanted`; where one is empty, that of `other`."""
    return torch.where(wanted.any(dim=1, keepdim=True), wanted, other)


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
