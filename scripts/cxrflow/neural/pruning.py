"""Ranks patches once per radiograph; whatever share is kept is a prefix of the ranking."""

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.files import atomic_path, write_table
from cxrflow.neural.settings import PATCHES, PruningSettings


def patch_scores(attention: NDArray[np.float32], layers: str) -> NDArray[np.float32]:
    """Return (N, 144) scores of exported attention (N, layers, 144): the last layer's, or the mean over layers."""
    return attention[:, -1] if layers == "last" else attention.mean(axis=1)


def patch_order(scores: NDArray) -> NDArray[np.uint8]:
    """Return (N, 144): patch ids from the highest score to the lowest; equal scores go to the lower id first."""
    return np.argsort(-scores, axis=1, kind="stable").astype(np.uint8)


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


def rank_patches(
    attention: Sequence[Path], images: Sequence[Path], ranking: Path, kept: Path, layers: str, settings: PruningSettings
) -> None:
    """Read the exports of all splits and write the ranking of every selector, and how much each share keeps.

    `ranking` (npz) holds image_id, patient_id, study_id and split (N,), and order_<selector> (N, 144) uint8.
    """
    whose = pd.concat([pd.read_parquet(table) for table in images], ignore_index=True)
    scores = patch_scores(np.concatenate([np.load(file, allow_pickle=False) for file in attention]), layers)
    orders = {"attention": lambda: patch_order(scores), "random": lambda: random_order(len(whose), settings.seed)}
    arrays = {f"order_{selector}": orders[selector]() for selector in settings.selectors}
    with atomic_path(ranking) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **{name: whose[name].to_numpy(dtype=str) for name in whose.columns}, **arrays)
    write_table(kept, kept_table(settings))


def kept_table(settings: PruningSettings) -> pd.DataFrame:
    """Return one row per share: kept_percent as asked for, patches, and the percentage that these really are."""
    counts = kept_counts(settings.percentiles, settings.mode)
    table = pd.DataFrame({"kept_percent": settings.percentiles, "patches": counts})
    return table.assign(realised_percent=100 * table["patches"] / PATCHES)
