"""Which patients' labels are learnt from: nested subsets, whole patients at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Level:
    """How many labels there are: those of a share of the patients, or of some patients with each label."""

    fraction: float | None = None
    shots: int | None = None

    @property
    def name(self) -> str:
        """What files and figures call it: `0.01`, or `5-shot`."""
        return f"{self.shots}-shot" if self.shots is not None else f"{self.fraction:g}"


def labelled_places(samples: pd.DataFrame, labels: Sequence[str], level: Level, seed: int) -> NDArray[np.intp]:
    """Return the places in `samples` (patient_id, one column per label: 1, 0 or NaN) whose labels are known.

    Patients are in a random order that depends on the seed alone. A share takes the first of them, at least one; shots
    take the first with each label. So each subset contains every smaller one of its kind and seed. (The released code
    of IGCL draws images, anew for every share: a patient may be in the subset and in what was held back.)
    """
    patients = np.unique(samples["patient_id"])
    order = np.random.default_rng(seed).permutation(patients)
    if level.fraction is not None:
        chosen = order[: max(1, round(level.fraction * len(order)))]
    else:
        positive = samples.groupby("patient_id")[list(labels)].max().reindex(order).eq(1.0).to_numpy()
        chosen = order[(positive & (np.cumsum(positive, axis=0) <= (level.shots or 0))).any(axis=1)]
    return np.flatnonzero(samples["patient_id"].isin(chosen))
