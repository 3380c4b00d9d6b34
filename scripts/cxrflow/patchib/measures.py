"""What is measured of a model, seed by seed, with its resamples; and what two models differ by."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from cxrflow import measured
from cxrflow.measured import MEAN, Common, Measured, difference
from cxrflow.metrics import holm


class Key(NamedTuple):
    """What a number is about."""

    model: str
    task: str
    embedding: str
    label: str
    metric: str


Measures = dict[Key, Measured]


def over_seeds(seeds: Sequence[Measures]) -> Measures:
    """Return the means over the measures of several seeds of one model."""
    return {key: measured.over_seeds([measures[key] for measures in seeds]) for key in seeds[0]}


def differences_table(measures: Measures, against: str, common: Common) -> pd.DataFrame:
    """Return one row per number of every other model that `against` has as well: the paired difference.

    `value` is the mean over seeds of one minus that of the other, on the same resamples of patients; `p_holm` is
    adjusted for all models and embeddings that are compared by one task and metric. Means over labels only.
    """
    rows = [
        {**common, **key._asdict(), "against": against, **difference(measures[key], measures[other])}
        for key, other in _compared(measures, against)
    ]
    table = pd.DataFrame(rows, columns=[*common, *Key._fields, "against", "value", "low", "high", "p"])
    return table.assign(p_holm=table.groupby(["task", "metric"])["p"].transform(lambda p: holm(p.to_numpy())))


def _compared(measures: Measures, against: str) -> Iterator[tuple[Key, Key]]:
    for key in measures:
        other = key._replace(model=against, embedding="own")
        if key.model != against and key.label in ("", MEAN) and other in measures:
            yield key, other
