"""Holds what the five papers claim against what a run has measured: one row per claim, its verdict computed.

A claim is a direction: a number that should lie on one side of a bound. It is reproduced where the whole interval of
the number does (or the number itself, where it has none).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from cxrflow.settings import System

REPRODUCED, MISSED = "reproduced in direction", "not reproduced"
SIMULATED, NOT_RUN = "can't be tested on simulated images", "not run here"


class Finding(NamedTuple):
    """A number with its interval (NaN where it has none), and on how many patients and seeds."""

    value: float
    low: float = np.nan
    high: float = np.nan
    n_patients: float = np.nan
    n_seeds: float = np.nan


@dataclass(frozen=True)
class Tables:
    """The tables of one system on one cohort."""

    folder: Path

    def read(self, name: str) -> pd.DataFrame:
        """Return a table; an empty one where the run has not made it."""
        file = self.folder / f"{name}.parquet"
        return pd.read_parquet(file) if file.is_file() else pd.DataFrame()

    def find(self, name: str, **where: object) -> pd.DataFrame:
        """Return the rows of a table with these values; none where a column is not there."""
        rows = self.read(name)
        for column, value in where.items():
            rows = rows[rows[column] == value] if column in rows else rows.iloc[:0]
        return rows


Measure = Callable[[Tables], Finding | None]


@dataclass(frozen=True)
class Claim:
    """What a paper claims: in words, with its figures and where these stand; what measures it here, in words (`number`)
    and as a function; and on which side of which bound it should lie."""

    system: System
    claim: str
    published: str
    source: str
    number: str
    measure: Measure
    side: Literal["above", "below"] = "above"
    bound: float = 0.0
    needs_patients: bool = False

    def verdict(self, found: Finding | None, simulated: bool) -> str:
        """Return the verdict."""
        if self.needs_patients and simulated:
            return SIMULATED
        if found is None or np.isnan(found.value):
            return NOT_RUN
        above = self.side == "above"
        end = found.low if above else found.high
        reached = found.value if np.isnan(end) else end
        return REPRODUCED if (reached > self.bound if above else reached < self.bound) else MISSED


@dataclass(frozen=True)
class Place:
    """A cohort of the run: where its results lie, whether it is simulated, and the systems whose claims it can show."""

    cohort: str
    folder: Path
    simulated: bool
    systems: Sequence[str]


COLUMNS = (
    "cohort", "simulated", "n_patients", "n_seeds", "system", "claim", "published", "source", "metric", "value", "low",
    "high", "side", "bound", "verdict",
)  # fmt: skip


def claims_table(place: Place, claims: Sequence[Claim]) -> pd.DataFrame:
    """Return one row per claim of the systems of a cohort."""
    rows = [_row(place, claim) for claim in claims if claim.system in place.systems]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(place: Place, claim: Claim) -> Mapping[str, object]:
    found = claim.measure(Tables(place.folder / claim.system))
    number = found or Finding(np.nan)
    return {
        "cohort": place.cohort,
        "simulated": place.simulated,
        **number._asdict(),
        "system": claim.system,
        "claim": claim.claim,
        "published": claim.published,
        "source": claim.source,
        "metric": claim.number,
        "side": claim.side,
        "bound": claim.bound,
        "verdict": claim.verdict(found, place.simulated),
    }
