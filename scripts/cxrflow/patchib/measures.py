"""What is measured of a model, seed by seed, with its resamples; and what two models differ by."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from cxrflow import measured
from cxrflow.measured import MEAN, Common, Measured


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
    pairs = _compared(measures, against)
    return measured.differences_table(measures, pairs, Key._fields, common, ("task", "metric"))


def _compared(measures: Measures, against: str) -> Iterator[tuple[Key, Key]]:
    for key in measures:
        other = key._replace(model=against, embedding="own")
        if key.model != against and key.label in ("", MEAN) and other in measures:
            yield key, other
