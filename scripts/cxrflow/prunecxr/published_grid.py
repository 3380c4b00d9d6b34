"""The files of published predictions: one pickle per seed and sparsity, named after both."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from cxrflow.cohort.long_tail import LongTail
from cxrflow.errors import UserError

NETWORK = "resnet50"
"""The network that the published files are named after."""
_SHOWN = 8


@dataclass(frozen=True)
class PublishedGrid:
    """A whole grid of seeds and sparsities in a folder."""

    seeds: tuple[int, ...]
    """Ascending."""
    levels: tuple[float, ...]
    """Ascending shares of the weights that were pruned; the first is 0."""
    files: Mapping[tuple[int, float], Path]
    """The file of each seed and level."""


def file_name(labels: LongTail, network: str, seed: int, level: float) -> str:
    """Return the published name: `0` for the unpruned model, else the shortest decimal, as 0.05, 0.1, ... 0.95."""
    shown = repr(round(float(level), 10)) if level else "0"
    return f"{labels}_{network}_seed-{seed}_prune-{shown}.pkl"


def find_grid(
    folder: Path, labels: LongTail, levels: Sequence[float] | None = None, network: str = NETWORK
) -> PublishedGrid:
    """Return what is in a folder: every seed found, at all sparsities found or at those in `levels`.

    Raises UserError where nothing is there, the unpruned models are not, or a file of the grid is missing. Files of
    other names, such as those of the validation split, are left alone.
    """
    files = _found(folder, labels, network)
    seeds = sorted({seed for seed, _ in files})
    wanted = sorted({level for _, level in files} if levels is None else {0.0, *(round(x, 10) for x in levels)})
    missing = [pair for pair in product(seeds, {0.0, *wanted}) if pair not in files]
    if missing:
        names = sorted(file_name(labels, network, *pair) for pair in missing)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise UserError(
            f"{folder} has {len(seeds)} seeds and lacks {len(names)} files: {', '.join(names[:_SHOWN])}{more}.",
            "every seed needs the same sparsities and the unpruned model (0): get these files, or remove their seeds.",
        )
    return PublishedGrid(tuple(seeds), tuple(wanted), files)


def _found(folder: Path, labels: LongTail, network: str) -> dict[tuple[int, float], Path]:
    pattern = re.compile(rf"{re.escape(f'{labels}_{network}')}_seed-(\d+)_prune-(0|0\.\d+)\.pkl")
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    matches = [(path, match) for path in paths if (match := pattern.fullmatch(path.name))]
    if not matches:
        raise UserError(
            f"There is no {labels}_{network}_seed-<seed>_prune-<sparsity>.pkl among {len(paths)} files of {folder}.",
            "unpack the published predictions of this data set there, all pickles side by side.",
        )
    return {(int(match[1]), round(float(match[2]), 10)): path for path, match in matches}
