"""The last words of a run: what it took and where to look, or why it stopped and how to go on."""

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from cxrflow.durations import Durations, rule_durations, spoken

FIRST_LOOK = (
    "summary/leaderboard.png",
    "summary/claims.csv",
    "summary/compression.png",
    "neural/auc_vs_kept.png",
    "neural/gallery.png",
    "prunecxr/overall.png",
    "prunecxr/correlations.png",
    "prunecxr/exemplars.html",
    "patchib/ablation.png",
    "patchib/gallery.png",
    "igcl/gallery.html",
    "igcl/label_fractions.png",
    "clear/efficiency.png",
    "clear/attention.png",
    "side_by_side.png",
    "cohort/contact_sheet.png",
)
SLOWEST, LAST_LINES = 5, 12


def finished(results: Path, started: float) -> str:
    """Return what ran since `started` (seconds of the epoch), and where the results are, most telling first."""
    lines = ["", f"Done in {spoken(time.time() - started)}.", *_worked(rule_durations(results / "benchmarks", started))]
    lines += ["Where to look:"]
    lines += [f"  {path}" for name in FIRST_LOOK for path in sorted(results.glob(f"*/{name}"))]
    lines += ["  results/config.yaml (what made them)", "  make report (everything on one page)"]
    return "\n".join(lines)


def _worked(durations: Durations) -> list[str]:
    if not durations.jobs:
        return ["Nothing had to run: all results were there."]
    lines = [f"{durations.jobs} jobs of {len(durations.seconds)} rules ran; the slowest:"]
    width = max(map(len, durations.seconds))
    for rule, jobs, seconds in durations.slowest(SLOWEST):
        lines.append(f"  {rule:<{width}}  {spoken(seconds):>9}" + (f"  ({jobs} jobs)" if jobs > 1 else ""))
    return lines


def failed(results: Path, started: float, command: Sequence[str]) -> str:
    """Return the end of each log that tells of an error since `started`, and the command that goes on."""
    logs = [file for file in sorted((results / "logs").rglob("*.log")) if file.stat().st_mtime >= started]
    told = {file: end for file in logs if (end := _end(file))}
    lines = ["", f"The run stopped early, after {spoken(time.time() - started)}."]
    for file, end in told.items():
        lines += [f"{file} ends:", *(f"  {line}" for line in end)]
    if not told:
        lines += ["The failed rule and the reason are above."]
    lines += [
        "What is finished is kept. To go on from there, once the reason is mended (after a kill, first with --unlock):"
    ]
    return "\n".join([*lines, f"  {_again(command)}"])


def _end(log: Path) -> list[str]:
    """Return the last lines of a log from its last error on; none where it tells of no error."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [at for at, line in enumerate(lines) if " ERROR " in line[:20] or line.startswith("Traceback")]
    if not errors:
        return []
    return (
        lines[errors[-1] :] if len(lines) - errors[-1] <= LAST_LINES else [lines[errors[-1]], *lines[-LAST_LINES + 1 :]]
    )


def _again(command: Sequence[str]) -> str:
    """Return a command line as a user types it."""
    program, *arguments = command
    name = Path(program).name
    return shlex.join(["snakemake" if name in ("__main__.py", "snakemake") else program, *arguments])
