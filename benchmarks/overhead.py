"""What a whole run cost beside its rules' own work, from Snakemake's benchmark files and the names of its logs."""

from datetime import datetime
from pathlib import Path

from cxrflow.durations import working_spans

GOAL = 0.15


def overhead(root: Path, cores: int) -> str:
    """Return in words the share of the last run's wall time in which no rule worked, and how many cores rules took.

    A run starts when its log is made, and ends with its last job. Runs in which nothing had to be made are passed over.
    """
    for log in sorted((root / ".snakemake/log").glob("*.snakemake.log"), reverse=True):
        started = datetime.strptime(log.name.split(".")[0], "%Y-%m-%dT%H%M%S").timestamp()
        if spans := working_spans(root / "results/benchmarks", started):
            wall = max(end for _, end in spans) - started
            idle, at_once = max(0.0, 1 - covered(spans) / wall), sum(end - start for start, end in spans) / wall
            return (
                f"The last run ({len(spans)} jobs) took {wall:.0f} s; no rule worked in {idle:.1%} of it (goal: under "
                f"{GOAL:.0%}), and {at_once:.2f} jobs at once on average, {cores} cores being there."
            )
    return "No run to tell the overhead of: `make demo` first."


def covered(spans: list[tuple[float, float]]) -> float:
    """Return for how long at least one of the spans (start, end) lasts."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
