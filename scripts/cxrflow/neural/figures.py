"""The result in one picture: classification against the share of patches that is kept."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxrflow.plotting import PALETTE, caption, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SERIES = {
    ("fused", "attention"): "patches by attention + report",
    ("fused", "random"): "random patches + report",
    ("image", "attention"): "patches by attention",
    ("image", "random"): "random patches",
}


def plot_auc(table: pd.DataFrame, outputs: list[Path]) -> None:
    """Draw one panel per target from `metrics.csv`: AUROC with bands over the kept share (logarithmic)."""
    import matplotlib.pyplot as plt

    aurocs = table[(table["metric"] == "auroc") & table["value"].notna()]
    targets = sorted(aurocs["target"].unique())
    for output in outputs:
        with figure_style():
            columns = min(2, max(1, len(targets)))
            rows = max(1, -(-len(targets) // columns))
            figure, axes = plt.subplots(
                rows, columns, figsize=(4.8 * columns, 3.3 * rows), sharex=True, sharey=True, squeeze=False
            )
            for axis, target in zip(axes.flat, targets, strict=False):
                draw_target(axis, aurocs[aurocs["target"] == target], target)
            for axis in list(axes.flat)[len(targets) :]:
                axis.set_visible(False)
            _label(axes)
            _legend(figure, axes[0, 0])
            caption(figure, auc_caption(table), bool(table["simulated"].any()))
            figure.tight_layout()
            save_figure(figure, output)


def draw_target(axis: "Axes", rows: pd.DataFrame, target: str) -> None:
    """Draw one target: a line per input and selector, the whole image and the report alone as horizontal lines."""
    for (source, selector), name in SERIES.items():
        part = rows[(rows["input"] == source) & rows["selector"].isin([selector, "all"])].sort_values("kept_percent")
        if not (part["selector"] == selector).any():
            continue
        style = {
            "color": PALETTE[["image", "fused"].index(source)],
            "linestyle": "-" if selector == "attention" else ":",
        }
        axis.plot(part["kept_percent"], part["value"], marker="o", markersize=3, label=name, **style)
        if selector == "attention":
            axis.fill_between(part["kept_percent"], part["low"], part["high"], color=style["color"], alpha=0.15, lw=0)
    references = {"image": ("all", "whole radiograph", "0.25"), "text": ("none", "report alone", PALETTE[2])}
    for source, (selector, name, color) in references.items():
        value = rows.loc[(rows["input"] == source) & (rows["selector"] == selector), "value"]
        if len(value):
            axis.axhline(float(value.iloc[0]), color=color, linestyle="--", linewidth=1, label=name)
    axis.set_xscale("log")
    axis.set_title(f"{target} (n = {int(rows['n_positive'].max())} positive)")


def auc_caption(table: pd.DataFrame) -> str:
    """Return what the figure must say: patients, seeds, and the interval."""
    first = table.iloc[0]
    return (
        f"Test split, {int(first['n_patients'])} patients; mean of {int(first['n_seeds'])} seed(s); bands: 95 % "
        "bootstrap interval over patients. The reference report chose the patches and is in the fused graphs."
    )


def _label(axes: np.ndarray) -> None:
    for axis in axes[-1]:
        axis.set_xlabel("patches kept (%)")
        axis.set_xticks([2, 5, 10, 25, 50, 100], labels=["2", "5", "10", "25", "50", "100"])
        axis.minorticks_off()
    for axis in axes[:, 0]:
        axis.set_ylabel("AUROC")


def _legend(figure, axis: "Axes") -> None:  # type: ignore[no-untyped-def]
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=9)
