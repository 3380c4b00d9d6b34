"""How a comparison is timed: in turns, so that both sides meet the same machine."""

import json
import math
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

NOT_MEASURED = float("nan")


@dataclass(frozen=True)
class Comparison:
    """Two ways to do one thing, and how much faster ours should be.

    Without a reference (it would take hours) only our own time is told. Where `ours` runs in a process of its own it
    returns that process's `peak_mb`.
    """

    name: str
    ours: Callable[[], object]
    reference: Callable[[], object] | None
    goal: float
    repeats: int = 5


@dataclass(frozen=True)
class Measured:
    """Median seconds of both sides; `ratio` is the median of the turn-by-turn ratios reference / ours.

    `met` says whether the ratio reaches the goal; nothing where there is no goal.
    """

    name: str
    ours_s: float
    reference_s: float
    ratio: float
    goal: float
    peak_mb: float
    met: str


def measure(comparison: Comparison) -> Measured:
    """Run both sides in turns after one warm-up each (none where there is a single turn)."""
    if comparison.repeats > 1:
        comparison.ours()
        if comparison.reference:
            comparison.reference()
    turns = [(_timed(comparison.ours), _timed(comparison.reference)) for _ in range(comparison.repeats)]
    ratio = statistics.median(reference / ours for (ours, _), (reference, _) in turns)
    return Measured(
        comparison.name,
        statistics.median(ours for (ours, _), _ in turns),
        statistics.median(reference for _, (reference, _) in turns),
        ratio,
        comparison.goal,
        max(peak for (_, peak), _ in turns),
        met(ratio, comparison.goal),
    )


def met(ratio: float, goal: float) -> str:
    """Return whether a ratio reaches its goal (NaN: there is none)."""
    if math.isnan(goal):
        return ""
    return "yes" if ratio >= goal else "no"


def apart(module: str, *arguments: str, **more: str) -> dict[str, float]:
    """Run a module of this folder in a process of its own, with `more` in its environment; return what it printed.

    So its peak memory is its own.
    """
    command, environment = [sys.executable, "-m", f"benchmarks.{module}", *arguments], {**os.environ, **more}
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout))


def peak_mb() -> float:
    """Return the peak memory of this process in MB (that of getrusage begins with the peak of what started it)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else NOT_MEASURED


def _timed(work: Callable[[], object] | None) -> tuple[float, float]:
    """Return seconds and, where the work tells it, its peak memory in MB."""
    if work is None:
        return NOT_MEASURED, NOT_MEASURED
    start = time.perf_counter()
    told = work()
    seconds = time.perf_counter() - start
    return seconds, float(told["peak_mb"]) if isinstance(told, Mapping) and "peak_mb" in told else NOT_MEASURED
