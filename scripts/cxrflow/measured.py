"""A number with its resamples of patients: means over seeds, rows of results tables, paired differences."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.metrics import Estimate, interval, two_sided_p

Common = Mapping[str, object]
"""What all rows of a table have in common."""
MEAN = "mean"
"""What tables call the mean over labels."""


class Measured(NamedTuple):
    """The mean over seeds of a metric and of its resamples (R,), the number of seeds, and what chance gives."""

    value: float
    resampled: NDArray[np.float64]
    n_seeds: int
    chance: float


def over_seeds(seeds: Sequence[Measured]) -> Measured:
    """Return the mean of what single seeds give: resample by resample, since all are tested on the same patients."""
    value, chance = (float(np.mean([getattr(seed, name) for seed in seeds])) for name in ("value", "chance"))
    return Measured(value, np.mean([seed.resampled for seed in seeds], axis=0), len(seeds), chance)


def measures_table(measures: Mapping[Any, Measured], names: Sequence[str], common: Common) -> pd.DataFrame:
    """Return one row per number, with its interval over resamples of patients; keys are named tuples of `names`."""
    rows = [
        {
            **common,
            "n_seeds": found.n_seeds,
            **key._asdict(),
            **interval(found.value, found.resampled)._asdict(),
            "chance": found.chance,
        }
        for key, found in measures.items()
    ]
    return pd.DataFrame(rows, columns=[*common, "n_seeds", *names, *Estimate._fields, "chance"])


def difference(one: Measured, other: Measured) -> dict[str, float]:
    """Return how much higher one is than the other, on the same resamples: value, low, high, p."""
    change = one.resampled - other.resampled
    bounds = interval(one.value - other.value, change)
    return {**bounds._asdict(), "p": np.nan if np.isnan(bounds.value) else two_sided_p(change)}
