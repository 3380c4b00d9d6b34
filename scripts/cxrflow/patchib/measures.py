"""What is measured of a model, seed by seed, with its resamples; and what two models differ by."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.metrics import holm, interval, two_sided_p

Common = Mapping[str, object]
MEAN = "mean"
"""What tables call the mean over labels."""


class Key(NamedTuple):
    """What a number is about."""

    model: str
    task: str
    embedding: str
    label: str
    metric: str


class Measured(NamedTuple):
    """The mean over seeds of a metric and of its resamples (R,), the number of seeds, and what chance gives."""

    value: float
    resampled: NDArray[np.float64]
    n_seeds: int
    chance: float


Measures = dict[Key, Measured]


def over_seeds(seeds: Sequence[Measures]) -> Measures:
    """Return the means over the measures of several seeds of one model."""
    return {key: _mean([measures[key] for measures in seeds]) for key in seeds[0]}


def _mean(parts: Sequence[Measured]) -> Measured:
    value = float(np.mean([part.value for part in parts]))
    chance = float(np.mean([part.chance for part in parts]))
    return Measured(value, np.mean([part.resampled for part in parts], axis=0), len(parts), chance)


def measures_table(measures: Measures, common: Common) -> pd.DataFrame:
    """Return one row per number, with its interval over resamples of patients."""
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
    return pd.DataFrame(rows)


def differences_table(measures: Measures, against: str, common: Common) -> pd.DataFrame:
    """Return one row per number of every other model that `against` has as well: the paired difference.

    `value` is the mean over seeds of one minus that of the other, on the same resamples of patients; `p_holm` is
    adjusted for all models and embeddings that are compared by one task and metric. Means over labels only.
    """
    rows = [
        {**common, **key._asdict(), "against": against, **_difference(measures[key], measures[other])}
        for key, other in _compared(measures, against)
    ]
    table = pd.DataFrame(rows, columns=[*common, *Key._fields, "against", "value", "low", "high", "p"])
    return table.assign(p_holm=table.groupby(["task", "metric"])["p"].transform(lambda p: holm(p.to_numpy())))


def _compared(measures: Measures, against: str) -> Iterator[tuple[Key, Key]]:
    for key in measures:
        other = key._replace(model=against, embedding="own")
        if key.model != against and key.label in ("", MEAN) and other in measures:
            yield key, other


def _difference(one: Measured, other: Measured) -> dict[str, float]:
    change = one.resampled - other.resampled
    bounds = interval(one.value - other.value, change)
    return {**bounds._asdict(), "p": np.nan if np.isnan(bounds.value) else two_sided_p(change)}
