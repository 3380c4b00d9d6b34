"""The last words of a run: where to look, or how to go on."""

from pathlib import Path

FIRST_LOOK = (
    "neural/auc_vs_kept.png",
    "neural/gallery.png",
    "prunecxr/overall.png",
    "prunecxr/correlations.png",
    "prunecxr/exemplars.html",
    "side_by_side.png",
    "cohort/contact_sheet.png",
)


def finished(results: Path) -> str:
    """Return where the results of each cohort are, most telling first."""
    lines = ["", "Done. Where to look:"]
    lines += [f"  {path}" for name in FIRST_LOOK for path in sorted(results.glob(f"*/{name}"))]
    lines += ["  results/config.yaml (what made them)", "  make report (everything on one page)"]
    return "\n".join(lines)


def failed() -> str:
    """Return how to go on after a failure."""
    return (
        "\nThe run stopped early. The failed rule, its log and the reason are above.\n"
        "What is finished is kept: the same command goes on from there (after a kill, `snakemake --unlock` first)."
    )
