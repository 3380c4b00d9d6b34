"""The extraction against people in one picture: F1 of findings, sides and sites, tuned and unseen reports."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cxrflow.plotting import PALETTE, caption, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {"finding": "findings", "side": "sides", "site": "sites"}
SERIES = {"odd": ("odd numbers (unseen)", "o", 0), "even": ("even numbers (tuned on)", "s", 7)}  # name, marker, colour
SHIFT = 0.17  # of a row, so that the two halves do not cover each other
ROW_HEIGHT = 0.27  # inches


def plot_index_scores(table: pd.DataFrame, outputs: list[Path]) -> None:
    """Draw F1 with 95 % intervals from index_scores.csv: a panel of findings, one of sides and one of sites."""
    import matplotlib.pyplot as plt

    names = {kind: _names(table, kind) for kind in PANELS}
    rows = [len(part) for part in names.values()]
    with figure_style():
        figure, axes = plt.subplots(
            len(PANELS), 1, figsize=(6.4, ROW_HEIGHT * sum(rows) + 1.8), sharex=True, height_ratios=rows
        )
        for axis, kind in zip(axes, PANELS, strict=True):
            draw_panel(axis, table[table["kind"] == kind], names[kind])
            axis.set_title(PANELS[kind], loc="left", fontsize=10, fontweight="bold")
        axes[-1].set_xlabel("F1 against the human index (95 % interval)")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
        caption(figure, index_caption(table), simulated=False)
        figure.tight_layout()
        save_figure(figure, *outputs)


def draw_panel(axis: "Axes", rows: pd.DataFrame, names: list[str]) -> None:
    """Draw one kind, a row per name in this order, the averages last; the two halves side by side."""
    for at, (ids, (label, marker, colour)) in enumerate(SERIES.items()):
        part = rows[rows["ids"] == ids].set_index("name").reindex(names)
        heights = [row + (at - 0.5) * 2 * SHIFT for row in range(len(names))]
        axis.hlines(heights, part["f1_low"], part["f1_high"], color=PALETTE[colour], linewidth=1.4)
        axis.plot(part["f1"], heights, marker, color=PALETTE[colour], markersize=4.5, label=label)
    counts = rows[rows["ids"] == "odd"].set_index("name")["n"].reindex(names).fillna(0).astype(int)
    labels = [f"{str(name).replace('_', ' ')} ({count})" for name, count in counts.items()]
    axis.set_yticks(range(len(names)), labels=labels, fontsize=9)
    axis.set_ylim(len(names) - 0.5, -0.5)
    averages = len(names) - sum(name in ("micro", "macro") for name in names)
    axis.axhspan(averages - 0.5, len(names) - 0.5, color="0.94", zorder=0)
    axis.grid(visible=False, axis="y")


def index_caption(table: pd.DataFrame) -> str:
    """Return what the figure must say: whose reports, how many, what is in brackets, and the interval."""
    patients = table.groupby("ids")["n_patients"].max()
    return (
        f"Open-I reports with a human index: {int(patients['odd']):,} with odd numbers, {int(patients['even']):,} with "
        "even ones.\nIn brackets: statements of the index, odd numbers. Intervals: bootstrap over reports."
    )


def _names(table: pd.DataFrame, kind: str) -> list[str]:
    """Order findings by their F1 on unseen reports, places as they are in the table; averages come last."""
    rows = table[(table["kind"] == kind) & (table["ids"] == "odd")]
    single = rows[~rows["name"].isin(["micro", "macro"])]
    if kind == "finding":
        single = single.sort_values("f1", ascending=False, kind="stable")
    return [*single["name"], "micro", "macro"]
