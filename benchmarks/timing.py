"""How a comparison is timed: in turns, so that both sides meet the same machine."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """Two ways to do one thing, and how much faster ours should be."""

    name: str
    ours: Callable[[], object]
    reference: Callable[[], object]
    goal: float
    repeats: int = 5


@dataclass(frozen=True)
class Measured:
    """Median seconds of both sides; `ratio` is the median of the turn-by-turn ratios reference / ours."""

    name: str
    ours_s: float
    reference_s: float
    ratio: float
    goal: float


def measure(comparison: Comparison) -> Measured:
    """Run both sides in turns after one warm-up each."""
    comparison.ours()
    comparison.reference()
    turns = [(_seconds(comparison.ours), _seconds(comparison.reference)) for _ in range(comparison.repeats)]
    return Measured(
        comparison.name,
        statistics.median(ours for ours, _ in turns),
        statistics.median(reference for _, reference in turns),
        statistics.median(reference / ours for ours, reference in turns),
        comparison.goal,
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
