"""The leaderboard of a cohort: every trained encoder, what it is worth and what it costs, and paired differences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxrflow.measured import MEAN, Common, differences_table, measures_table
from cxrflow.summary.feature_sources import Features, Name
from cxrflow.summary.probing import PROBE, Key, Measures

COST = "cost"
COSTS = ("parameters", "macs", "images_per_s", "peak_bytes")
"""Of an encoder: weights, multiplications of one image, speed and memory of a pass."""
ESTIMATE = ("value", "low", "high", "chance")
COLUMNS = ("n_seeds", *Key._fields, *ESTIMATE)


@dataclass(frozen=True)
class Costs:
    """What encoders of one system cost: `table` (parquet) has one row each, named in the column `named`."""

    system: str
    trained_on: str
    table: Path
    named: str = "encoder"

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield a row per encoder and quantity; the first row of an encoder is the one that counts."""
        table = pd.read_parquet(self.table).drop_duplicates(self.named)
        for about in table.to_dict("records"):
            name = Name(self.system, self.trained_on, about[self.named])
            yield from (_row(name, COST, metric, float(about[metric])) for metric in COSTS)


@dataclass(frozen=True)
class Training:
    """How long an encoder was trained: the benchmark files of its seeds."""

    name: Name
    files: Sequence[Path]

    def row(self) -> dict[str, object]:
        """Return the mean over seeds, in seconds of the job that ended each training."""
        seconds = [float(pd.read_csv(file, sep="\t")["s"].mean()) for file in self.files]
        return _row(self.name, COST, "training_s", float(np.mean(seconds)), len(seconds))


@dataclass(frozen=True)
class Reported:
    """What a system has measured of its own encoders, by task: rows of its tables, renamed."""

    name: Name
    task: str
    rows: pd.DataFrame

    def table(self) -> pd.DataFrame:
        """Return the rows with the leaderboard's columns."""
        label = self.rows.get("label", "")
        about = {"system": self.name.system, "trained_on": self.name.trained_on, "encoder": self.name.encoder}
        return self.rows.assign(**about, task=self.task, label=label)[list(COLUMNS)]


def stored_bytes(sources: Sequence[Features], images_per_study: float) -> Iterator[dict[str, object]]:
    """Yield a row per encoder: the bytes that are stored of a study."""
    first = {source.name: source for source in reversed(sources)}
    for source in sources:
        if first[source.name] is source:
            yield _row(source.name, COST, "bytes_per_study", source.bytes_per_image() * images_per_study)


def leaderboard(
    measures: Measures, more: Sequence[pd.DataFrame], costs: Sequence[dict[str, object]], common: Common
) -> pd.DataFrame:
    """Return all rows: probes (best mean AUROC first), what systems measured themselves, costs."""
    probes = measures_table(measures, Key._fields, common)
    order = ranked(probes)
    about: dict[str, Any] = dict(common)
    tables = [probes, *(table.assign(**about) for table in more), pd.DataFrame(costs).assign(**about)]
    table = pd.concat([table[[*common, *COLUMNS]] for table in tables if len(table)], ignore_index=True)
    place = pd.Series([order.get(key, len(order)) for key in _names(table)], index=table.index)
    return table.loc[place.sort_values(kind="stable").index].reset_index(drop=True)


def ranked(table: pd.DataFrame) -> dict[tuple[str, str, str], int]:
    """Return the place of each encoder (system, trained_on, encoder) by the mean AUROC of its probes."""
    rows = table[(table["task"] == PROBE) & (table["label"] == MEAN) & (table["metric"] == "auroc")]
    rows = rows.sort_values("value", ascending=False, kind="stable")
    return {key: place for place, key in enumerate(_names(rows))}


def differences(measures: Measures, common: Common) -> pd.DataFrame:
    """Return one row per pair of encoders and metric of the probes' means over labels: how much higher the first is.

    Both on the same resamples of patients; `p_holm` is adjusted for all pairs of a metric.
    """
    means = [key for key in measures if key.label == MEAN]
    pairs = [(key, other) for key, other in combinations(means, 2) if key.metric == other.metric]
    against = {name: f"against_{name}" for name in Name.__dataclass_fields__}
    return differences_table(measures, pairs, Key._fields, common, ("metric",), against)


def _names(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(table[list(Name.__dataclass_fields__)].itertuples(index=False, name=None))


def _row(name: Name, task: str, metric: str, value: float, seeds: int = 1) -> dict[str, object]:
    nothing = dict.fromkeys(("low", "high", "chance"), np.nan)
    return {**Key.of(name, task, "", metric)._asdict(), "n_seeds": seeds, "value": value, **nothing}
