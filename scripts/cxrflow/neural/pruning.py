"""Ranks patches once per radiograph; whatever share is kept is a prefix of the ranking."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.errors import UserError
from cxrflow.files import write_arrays, write_table
from cxrflow.neural.settings import GRID_SIDE, PATCHES, PruningSettings, TextSettings, ranking_keys


def patch_scores(attention: NDArray[np.float32], layers: str) -> NDArray[np.float32]:
    """Return (N, 144) scores of exported attention (N, layers, 144): the last layer's, or the mean over layers."""
    return attention[:, -1] if layers == "last" else attention.mean(axis=1)


def patch_order(scores: NDArray) -> NDArray[np.uint8]:
    """Return (N, 144): patch ids from the highest score to the lowest; equal scores go to the lower id first."""
    return np.argsort(-scores, axis=1, kind="stable").astype(np.uint8)


def read_scores(attention: Sequence[Path], layers: str, text: str) -> NDArray[np.float32]:
    """Return (N, 144): the scores that one text setting gave to the patches of all images in the exports, in order."""
    return np.concatenate([patch_scores(_attention(file, text), layers) for file in attention])


def _attention(file: Path, text: str) -> NDArray[np.float32]:
    with np.load(file, allow_pickle=False) as arrays:
        if text not in arrays.files:
            raise UserError(
                f"{file} has attention to the texts {arrays.files}, not to {text!r}.",
                "It was made with other neural.texts.settings: delete it and run again.",
            )
        return arrays[text]


def random_order(count: int, seed: int) -> NDArray[np.uint8]:
    """Return (count, 144) random permutations, the control with the same counts."""
    patches = np.tile(np.arange(PATCHES, dtype=np.uint8), (count, 1))
    return np.random.default_rng([seed, count]).permuted(patches, axis=1)


def kept_counts(percentiles: Sequence[float], mode: str) -> list[int]:
    """Return how many of 144 patches each share keeps; 100 keeps all.

    `percentile` is the number of 144 distinct scores strictly above their (100 - p)th percentile with linear
    interpolation: 143 - floor(143 (1 - p / 100)), e.g. 4 for the paper's 2.3. It is a fixed number here, so that tied
    scores do not change it. `topk` rounds p x 144 / 100. Both keep at least one.
    """
    return [_kept(Fraction(str(share)) / 100, mode) for share in percentiles]


def _kept(share: Fraction, mode: str) -> int:
    if share == 1:
        return PATCHES
    if mode == "topk":
        return max(1, round(share * PATCHES))
    return max(1, PATCHES - 1 - math.floor((PATCHES - 1) * (1 - share)))


def centre_order(count: int) -> NDArray[np.uint8]:
    """Return (count, 144): patches by the distance of their centre from the image's, the same for all images."""
    row, column = np.divmod(np.arange(PATCHES), GRID_SIDE)
    middle = GRID_SIDE - 1  # in half patches, so that distances are whole numbers and equal ones stay equal
    distance = (2 * row - middle) ** 2 + (2 * column - middle) ** 2
    return np.tile(patch_order(-distance[None]), (count, 1))


@dataclass(frozen=True)
class AttentionFiles:
    """The exports of some splits, file by file: attention by text setting (npz), norms (n, 144), whose they are."""

    attention: Sequence[Path]
    norms: Sequence[Path]
    images: Sequence[Path]


def rank_patches(
    exports: AttentionFiles, ranking: Path, kept: Path, layers: str, settings: PruningSettings, texts: TextSettings
) -> None:
    """Read the exports of all splits and write every ranking of the patches, and how much each share keeps.

    `ranking` (npz) holds image_id, patient_id, study_id and split (N,), and order_<key> (N, 144) uint8 for each of
    `ranking_keys`.
    """
    whose = pd.concat([pd.read_parquet(table) for table in exports.images], ignore_index=True)
    orders = {key: _order(key, exports, len(whose), layers, settings.seed) for key in ranking_keys(settings, texts)}
    for key, order in orders.items():
        if len(order) != len(whose):
            raise UserError(
                f"The {key} ranking is of {len(order)} radiographs, the exports name {len(whose)}.",
                "The files come from different runs: delete results/<cohort>/neural/attention and run again.",
            )
    arrays = {name: whose[name].to_numpy(dtype=str) for name in whose.columns}
    arrays |= {f"order_{key}": order for key, order in orders.items()}
    write_arrays(ranking, arrays.items())
    write_table(kept, kept_table(settings))


def _order(key: str, exports: AttentionFiles, count: int, layers: str, seed: int) -> NDArray[np.uint8]:
    if key == "random":
        return random_order(count, seed)
    if key == "centre":
        return centre_order(count)
    if key == "norm":
        return patch_order(np.concatenate([np.load(file, allow_pickle=False) for file in exports.norms]))
    return patch_order(read_scores(exports.attention, layers, key.removeprefix("attention_")))


def kept_table(settings: PruningSettings) -> pd.DataFrame:
    """Return one row per share: kept_percent as asked for, patches, and the percentage that these really are."""
    counts = kept_counts(settings.percentiles, settings.mode)
    table = pd.DataFrame({"kept_percent": settings.percentiles, "patches": counts})
    return table.assign(realised_percent=100 * table["patches"] / PATCHES)
