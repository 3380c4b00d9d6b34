"""Which patients' labels are learnt from: nested subsets of the train split, whole patients at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.igcl.transfer_settings import ClassifierSettings, TransferSettings

Mode = Literal["linear", "finetuning"]
LINEAR, FINETUNING = "linear", "finetuning"


@dataclass(frozen=True)
class Level:
    """How many labels there are: those of a share of the patients, or of some patients with each label."""

    fraction: float | None = None
    shots: int | None = None

    @property
    def name(self) -> str:
        """What files and figures call it: `0.01`, or `5-shot`."""
        return f"{self.shots}-shot" if self.shots is not None else f"{self.fraction:g}"


@dataclass(frozen=True)
class Run:
    """One classifier: what of it learns, from how many labels, and the seed of draw and training."""

    mode: Mode
    level: Level
    seed: int

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.mode}_{self.level.name}_{self.seed}"


def runs_of(settings: TransferSettings) -> list[Run]:
    """Return all classifiers of one initialisation."""
    modes: dict[Mode, ClassifierSettings | None] = {"linear": settings.linear, "finetuning": settings.finetuning}
    return [
        Run(mode, level, seed)
        for mode, about in modes.items()
        if about is not None
        for level in levels_of(about)
        for seed in about.seeds
    ]


def levels_of(settings: ClassifierSettings) -> list[Level]:
    """Return the shares, the smallest first, then the numbers of shots."""
    shares = [Level(fraction=fraction) for fraction in sorted(settings.fractions)]
    return shares + [Level(shots=shots) for shots in sorted(settings.shots)]


def labelled_places(samples: pd.DataFrame, labels: Sequence[str], level: Level, seed: int) -> NDArray[np.intp]:
    """Return the places in `samples` (patient_id, one column per label: 1, 0 or NaN) whose labels are known.

    Patients are in a random order that depends on the seed alone. A share takes the first of them, at least one; shots
    take the first with each label. So each subset contains every smaller one of its kind and seed. (The released code
    draws images, anew for every share: a patient may be in the subset and in what was held back.)
    """
    patients = np.unique(samples["patient_id"])
    order = np.random.default_rng(seed).permutation(patients)
    if level.fraction is not None:
        chosen = order[: max(1, round(level.fraction * len(order)))]
    else:
        positive = samples.groupby("patient_id")[list(labels)].max().reindex(order).eq(1.0).to_numpy()
        chosen = order[(positive & (np.cumsum(positive, axis=0) <= (level.shots or 0))).any(axis=1)]
    return np.flatnonzero(samples["patient_id"].isin(chosen))
