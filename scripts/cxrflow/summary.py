"""The last words of a run: where to look, or what failed and how to go on."""

from pathlib import Path

FIRST_LOOK = ("neural/auc_vs_kept.png", "neural/gallery.png", "neural/metrics.csv", "cohort/contact_sheet.png")


def finished(results: Path) -> str:
    """Return where the results of each cohort are, most telling first."""
    lines = ["", "Done. Where to look:"]
    lines += [f"  {path}" for name in FIRST_LOOK for path in sorted(results.glob(f"*/{name}"))]
    lines += ["  results/config.yaml (what made them)", "  make report (everything on one page)"]
    return "\n".join(lines)


def failed(results: Path) -> str:
    """Return the tail of the newest log and the command that goes on from here."""
    logs = sorted(results.glob("logs/**/*.log"), key=lambda path: path.stat().st_mtime)
    lines = ["", "The run stopped early."]
    if logs:
        lines += [
            f"Newest log, {logs[-1]}, ends with:",
            *(f"  {line}" for line in logs[-1].read_text().splitlines()[-8:]),
        ]
    lines.append(
        "What is finished is kept. The same command goes on from there (after a kill: snakemake --unlock first)."
    )
    return "\n".join(lines)
