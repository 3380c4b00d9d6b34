"""Ensembles of seeds along the compression: read seed by seed, so that memory does not hold all seeds at all levels."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cxrflow.errors import UserError
from cxrflow.forgetting.agreement import Floats, RowAgreement, row_agreement
from cxrflow.forgetting.predictions import SeedPredictions, read_seed

SeedLoader = Callable[[], SeedPredictions]
"""Reads the predictions of one seed when it is called."""
_CELLS = 1_000_000  # summed probabilities (resamples x images x classes) held at once


@dataclass(frozen=True)
class Ensembles:
    """Predictions of all seeds: summed at every level, one by one at level 0 and at the level of the exemplars."""

    seeds: NDArray[np.int64]
    """(S,)"""
    levels: Floats
    """(K,) ascending shares that were taken away; the first is 0."""
    level: float
    """The one of them at which exemplars are found."""
    sums: Floats
    """(K, N, C): probabilities summed over seeds. They order the classes as the mean does."""
    whole: NDArray[np.float32]
    """(S, N, C): probabilities of the uncompressed models."""
    compressed: NDArray[np.float32]
    """(S, N, C): probabilities at `level`."""

    def at(self, level: float) -> RowAgreement:
        """Return the agreement of each image (N,) between the ensembles at level 0 and at `level`."""
        return row_agreement(self.sums[0], self.sums[place_of(self.levels, level)])

    def of_seeds(self, weights: NDArray) -> Floats:
        """Return agreements (R, N) at `level` of ensembles in which seeds count `weights` (R, S) times.

        Sums of at most dozens of float32 probabilities are exact in float64 as long as they are within a factor of
        about ten million, so classes that tie in every seed tie in every ensemble.
        """
        images, classes = self.whole.shape[1:]
        agreements, drawn = np.empty((len(weights), images)), weights.astype(np.float64)
        step = max(1, _CELLS // max(1, classes * max(weights.shape)))
        for start in range(0, images, step):
            block = slice(start, start + step)
            first, second = (_weighted(part[:, block], drawn) for part in (self.whole, self.compressed))
            agreements[:, block] = row_agreement(first, second).correlation.reshape(len(weights), -1)
        return agreements


def gather(loaders: Iterable[SeedLoader], level: float) -> Ensembles:
    """Read every seed once and return the ensembles.

    Raises UserError where there is no seed, where a seed occurs twice, where seeds have other levels than the first
    one, or where `level` is none of them.
    """
    seeds: list[int] = []
    levels, sums = np.empty(0), np.empty(0)
    whole, compressed = [], []
    for load in loaders:
        read = load()
        if not seeds:
            levels, sums = read.levels, np.zeros(read.probabilities.shape)
        _check(read, seeds, levels)
        place = place_of(levels, level)
        sums += read.probabilities
        whole.append(read.probabilities[0].copy())
        compressed.append(read.probabilities[place].copy())
        seeds.append(read.seed)
    if not seeds:
        raise UserError("There are no predictions to find exemplars in.", "configure at least one seed.")
    return Ensembles(np.array(seeds), levels, float(levels[place]), sums, np.stack(whole), np.stack(compressed))


def seed_loaders(files: Sequence[Path], model: str, image_ids: Sequence[str]) -> Iterator[SeedLoader]:
    """Yield one loader per seed for tables of predictions in any order, of one way to compress, by ascending seed."""
    by_seed: dict[int, list[Path]] = {}
    for path in files:
        seed = pq.ParquetFile(path).read_row_group(0, columns=["seed"]).column("seed")[0].as_py()
        by_seed.setdefault(seed, []).append(path)
    for seed in sorted(by_seed):
        yield partial(read_seed, by_seed[seed], model, image_ids)


def place_of(levels: Floats, level: float) -> int:
    """Return where `level` is in ascending `levels`; UserError where it is not."""
    places = np.flatnonzero(np.isclose(levels, level))
    if len(places) != 1:
        raise UserError(
            f"Exemplars are asked for at {level:g} taken away; there are predictions at {[f'{x:g}' for x in levels]}.",
            "set the level of the exemplars to one that is run.",
        )
    return int(places[0])


def _check(read: SeedPredictions, seeds: Sequence[int], levels: Floats) -> None:
    if read.seed in seeds:
        raise UserError(f"Seed {read.seed} comes twice.", "give the predictions of each seed once.")
    if len(read.levels) != len(levels) or not np.allclose(read.levels, levels):
        raise UserError(
            f"Seed {read.seed} has {len(read.levels)} levels, other ones than the {len(levels)} of the first seed.",
            "delete the predictions that are of an earlier configuration and run again.",
        )


def _weighted(part: NDArray[np.float32], weights: Floats) -> Floats:
    """Return probabilities (S, N, C) summed with `weights` (R, S), one row per resample and image: (R N, C)."""
    classes = part.shape[2]
    return (weights @ part.reshape(len(part), -1).astype(np.float64)).reshape(-1, classes)
