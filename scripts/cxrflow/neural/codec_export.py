"""Exports the trained encoder's features of radiographs that went through a codec: the same network, fewer bytes."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.store import ImageStore
from cxrflow.errors import UserError
from cxrflow.files import atomic_array, atomic_path
from cxrflow.networks import SmallResNet
from cxrflow.neural.codecs import Pixels, codec_parts, coded
from cxrflow.neural.encoders import TimmEncoder, build_encoder
from cxrflow.neural.settings import PATCHES, DataSettings, EncoderSettings, VlmSettings
from cxrflow.radiographs import read_images
from cxrflow.training import prepare_torch, this_device

logger = logging.getLogger(__name__)

PREFIX = "encoder."


@dataclass(frozen=True)
class CodecFiles:
    """One split through one codec: features (N, 144, d) float16 of the decoded images, and their bytes (N,) int64."""

    features: Path
    sizes: Path


def export_codec(
    cohort: CohortFiles,
    weights: Path,
    split: str,
    codec: str,
    outputs: CodecFiles,
    data: DataSettings,
    settings: VlmSettings,
    batch_size: int,
    threads: int,
) -> None:
    """Write what the trained encoder makes of one split's images after a codec, and the bytes that each took.

    Rows are in the order of the split's attention export. Of the trained model only the encoder is built and read.
    """
    codec_parts(codec)
    prepare_torch(threads, settings.seed)
    samples, store = cohort.samples([], "zero"), cohort.store()
    rows = store.rows(samples.loc[samples["split"] == split, "image_id"])
    encoder = load_encoder(settings.encoder, data.image_size, weights).to(this_device()).eval()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        batches = coded_batches(store, rows, codec, batch_size, pool)
        sizes = _write_features(encoder, batches, (len(rows), PATCHES, encoder.width), outputs.features)
    with atomic_path(outputs.sizes) as temporary, temporary.open("wb") as stream:
        np.save(stream, sizes)
    logger.info("%s, %s: %d radiographs, %d bytes in all", split, codec, len(rows), sizes.sum())


def load_encoder(settings: EncoderSettings, image_size: int, weights: Path) -> SmallResNet | TimmEncoder:
    """Return the encoder of a trained vision-language model; raise UserError where the file is of another one.

    The decoder's weights stay on disk, and no pretrained weights are looked for: the file has them all.
    """
    from safetensors import safe_open

    encoder = build_encoder(settings.model_copy(update={"weights": None}), image_size)
    with safe_open(weights, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(PREFIX)]  # noqa: SIM118 - not a dict
        state = {name.removeprefix(PREFIX): file.get_tensor(name) for name in names}
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"The encoder in {weights} is not the one that neural.vlm.encoder and neural.data.image_size describe.",
            "It was trained with other settings: delete it and run again.",
        ) from error
    return encoder


def coded_batches(
    store: ImageStore, rows: NDArray[np.int64], codec: str, size: int, pool: ThreadPoolExecutor
) -> Iterator[tuple[Pixels, NDArray[np.int64]]]:
    """Yield decoded images (B, S, S) uint8 and their bytes (B,), in the order of `rows` of the store."""
    code = partial(coded, codec=codec)
    for start in range(0, len(rows), size):
        parts = list(pool.map(code, (np.asarray(store.images[row]) for row in rows[start : start + size])))
        yield np.stack([image for _, image in parts]), np.array([len(content) for content, _ in parts], dtype=np.int64)


@torch.no_grad()
def _write_features(
    encoder: nn.Module,
    batches: Iterator[tuple[Pixels, NDArray[np.int64]]],
    shape: tuple[int, int, int],
    output: Path,
) -> NDArray[np.int64]:
    """Write features (N, 144, d) batch by batch; return the bytes of all images (N,)."""
    sizes, start = np.zeros(shape[0], dtype=np.int64), 0
    with atomic_array(output, np.float16, shape) as features:
        for images, lengths in batches:
            stop = start + len(images)
            patches = encoder(read_images(images, np.arange(len(images))).to(this_device()))
            features[start:stop], sizes[start:stop] = patches.half().cpu().numpy(), lengths
            start = stop
    return sizes
