"""The table of a plan: jobs, hours and bytes by rule, and their sums by room."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from cxrflow.config import Config
from cxrflow.job_table.plan import PlannedJob
from cxrflow.job_table.rates import MINUTE, Rates
from cxrflow.job_table.units import Work

GPU_HOURS, CPU_HOURS = "GPU hours", "CPU hours"
COUNTED = ["jobs", GPU_HOURS, CPU_HOURS, "GB"]
NO_RATE = float("nan")


@dataclass(frozen=True)
class Estimate:
    """What one job takes: hours (NaN where its rule has no rate), and GB that it leaves."""

    job: PlannedJob
    hours: float
    gigabytes: float


def estimates(jobs: Iterable[PlannedJob], config: Config, rates: Rates) -> list[Estimate]:
    """Return what each job of a plan takes."""
    return [_estimate(Work(job, config), rates) for job in jobs]


def _estimate(work: Work, rates: Rates) -> Estimate:
    hours = rates.hours(work)
    return Estimate(work.job, NO_RATE if hours is None else hours, rates.gigabytes(work))


def rows_of(found: Sequence[Estimate]) -> pd.DataFrame:
    """Return one row per rule, room by room.

    `hours per job` are those of the longest one; `CPU hours` are those of all processors of jobs without a GPU.
    """
    by_rule = pd.DataFrame([_row(each) for each in found]).groupby(["room", "rule"])
    summed = by_rule[COUNTED].sum(min_count=1)
    shown = by_rule[["GPUs", "hours per job"]].max().join(summed)
    return shown.reset_index()[["room", "rule", "jobs", "GPUs", "hours per job", *COUNTED[1:]]]


def _row(each: Estimate) -> dict[str, object]:
    job = each.job
    return {
        "room": job.room,
        "rule": job.rule,
        "jobs": 1,
        "GPUs": job.gpus,
        "hours per job": each.hours,
        GPU_HOURS: each.hours * job.gpus,
        CPU_HOURS: 0.0 if job.gpus else each.hours * job.threads,
        "GB": each.gigabytes,
    }


def totals(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the sums of each room, and of all under the name `all`."""
    by_room = rows.groupby("room", sort=False)[COUNTED].sum()
    return pd.concat([by_room, rows[COUNTED].sum().to_frame("all").T.rename_axis("room")]).reset_index()


def spoken_hours(hours: float) -> str:
    """Return hours as the table prints them."""
    if pd.isna(hours):
        return "no rate"
    if hours <= MINUTE:
        return "< 1 min"
    return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:.1f} h"


def printed(rows: pd.DataFrame) -> str:
    """Return the tables of rules and of rooms as text."""
    shown = rows.drop(columns="room").assign(**{"hours per job": rows["hours per job"].map(spoken_hours)})
    number = "{:,.1f}".format
    of_rooms = totals(rows).astype({"jobs": int})
    return "\n\n".join(each.to_string(index=False, float_format=number) for each in (shown, of_rooms))
