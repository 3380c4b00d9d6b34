"""How long rules worked, from Snakemake's benchmark files."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Durations:
    """Seconds and number of jobs of each rule."""

    seconds: dict[str, float]
    counts: dict[str, int]

    @property
    def total(self) -> float:
        """Return the seconds of all jobs."""
        return sum(self.seconds.values())

    @property
    def jobs(self) -> int:
        """Return the number of all jobs."""
        return sum(self.counts.values())

    def slowest(self, number: int) -> list[tuple[str, int, float]]:
        """Return (rule, jobs, seconds) of the rules that worked longest, the longest first."""
        order = sorted(self.seconds, key=lambda rule: (-self.seconds[rule], rule))
        return [(rule, self.counts[rule], self.seconds[rule]) for rule in order[:number]]


def rule_durations(folder: Path, since: float = 0.0) -> Durations:
    """Read the benchmark files below `folder` that are not older than `since` (seconds of the epoch).

    A file is named after its rule, which has a script of that name, and its wildcards.
    """
    rules = frozenset(script.stem for script in SCRIPTS.glob("*.py"))
    seconds: dict[str, float] = {}
    counts: Counter[str] = Counter()
    for file, taken in _benchmarks(folder, since):
        rule = rule_of(file.stem, rules)
        seconds[rule] = seconds.get(rule, 0.0) + sum(taken)
        counts[rule] += len(taken)
    return Durations(seconds, dict(counts))


def working_spans(folder: Path, since: float) -> list[tuple[float, float]]:
    """Return when each job since `since` started and ended (seconds of the epoch); its file is written at its end."""
    return [(end - sum(taken), end) for file, taken in _benchmarks(folder, since) for end in [file.stat().st_mtime]]


def _benchmarks(folder: Path, since: float) -> Iterator[tuple[Path, list[float]]]:
    """Yield the files not older than `since`, and the seconds in each."""
    for file in sorted(folder.rglob("*.tsv")):
        if file.stat().st_mtime >= since:
            with open(file, encoding="utf-8", newline="") as lines:
                yield file, [float(row["s"]) for row in csv.DictReader(lines, delimiter="\t")]


def rule_of(stem: str, rules: frozenset[str]) -> str:
    """Return the rule whose name a benchmark file's name begins with, the longest one; the stem where there is none."""
    named = [rule for rule in rules if stem == rule or stem.startswith(f"{rule}_")]
    return max(named, key=len, default=stem)


def spoken(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
