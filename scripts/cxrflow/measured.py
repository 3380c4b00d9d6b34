"""A number with its resamples of patients: means over seeds, rows of results tables, paired differences."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.metrics import Estimate, holm, interval, two_sided_p

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


def first_against_others(measures: Collection[Any], first: str) -> Iterator[tuple[Any, Any]]:
    """Yield each number of the model `first` with the same of every other model; a key's first field is its model."""
    own = {key[1:]: key for key in measures if key[0] == first}
    for other in measures:
        if other[0] != first and other[1:] in own:
            yield own[other[1:]], other


def differences_table(
    measures: Mapping[Any, Measured],
    pairs: Iterable[tuple[Any, Any]],
    names: Sequence[str],
    common: Common,
    family: Sequence[str],
    against: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return one row per pair of numbers: how much higher the first is, on the same resamples of patients.

    Keys are named tuples of `names`. `against` says in which column a field of the second key is told: by default the
    first field, which is the model. `p_holm` is adjusted for all rows that are alike in the columns of `family`.
    """
    told = against or {names[0]: "against"}
    rows = [
        {
            **common,
            **one._asdict(),
            **{column: getattr(other, name) for name, column in told.items()},
            **difference(measures[one], measures[other]),
        }
        for one, other in pairs
    ]
    table = pd.DataFrame(rows, columns=[*common, *names, *told.values(), *Estimate._fields, "p"])
    groups = table.groupby(list(family), dropna=False)["p"]
    return table.assign(p_holm=groups.transform(lambda p: holm(p.to_numpy())))
