"""Which patches matter: similarity to the report as patches go or come, and how steady masks are."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter

from cxrflow.patchib.figures import WIDTH
from cxrflow.plotting import caption, colours_by_place, error_bars, figure_style, save_figure, seeds_note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = {
    "deletion": ("Most important patches taken away", "patches taken away (%)"),
    "insertion": ("Most important patches put in", "patches put in (%)"),
}
"""Curves of the table, their titles and axes."""
HATCHES = ("", "///", "...", "xxx")  # of the changes of a radiograph
BAR = 0.36  # of a model's place


def plot_removal(curves: pd.DataFrame, robustness: pd.DataFrame, most_images: int, outputs: Sequence[Path]) -> None:
    """Draw deletion and insertion curves and, where models have masks, how much changed radiographs keep of them.

    From `curves.csv` and `robustness.csv`; curves were measured on at most `most_images` radiographs.
    """
    import matplotlib.pyplot as plt

    colours, count = colours_by_place(curves["model"]), len(CURVES) + (len(robustness) > 0)
    with figure_style():
        figure, axes = plt.subplots(1, count, figsize=(WIDTH, 4), layout="constrained")
        axes[1].sharey(axes[0])
        for axis, (curve, (title, label)) in zip(axes, CURVES.items(), strict=False):
            draw_curve(axis, curves[curves["curve"] == curve], colours)
            axis.set_title(title, fontsize=10)
            axis.set_xlabel(label)
        axes[0].set_ylabel("cosine to the own report")
        if len(robustness):
            draw_robustness(axes[-1], robustness, colours)
        caption(figure, removal_caption(curves, most_images, len(robustness) > 0), bool(curves["simulated"].any()))
        save_figure(figure, *outputs)


def draw_curve(axis: "Axes", curve: pd.DataFrame, colours: dict[str, str]) -> None:
    """Draw one line with its band per model; the legend has the area under it with its interval."""
    for model, rows in curve.groupby("model", sort=False):
        line, area = rows[rows["share"].notna()].sort_values("share"), rows[rows["share"].isna()].iloc[0]
        name = f"{model}   {area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}]".replace("-", "−")
        colour = colours[str(model)]
        axis.fill_between(line["share"], line["low"], line["high"], color=colour, alpha=0.15, linewidth=0)
        axis.plot(line["share"], line["value"], color=colour, linewidth=1.6, marker="o", markersize=3, label=name)
    axis.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    axis.legend(
        title="model, area under its curve", title_fontsize=8.5, fontsize=8.5, frameon=False, loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
    )  # fmt: skip


def draw_robustness(axis: "Axes", robustness: pd.DataFrame, colours: dict[str, str]) -> None:
    """Draw one bar with its interval per model and change, and a line across it at what chance gives."""
    models, changes = (list(dict.fromkeys(robustness[name])) for name in ("model", "change"))
    width = 2 * BAR / len(changes)
    for place, (change, hatch) in enumerate(zip(changes, HATCHES, strict=False)):
        rows = robustness[robustness["change"] == change].set_index("model").loc[models]
        at = np.arange(len(models)) + width * (place - (len(changes) - 1) / 2)
        axis.bar(
            at, rows["value"], width, yerr=error_bars(rows), color=[colours[model] for model in models], hatch=hatch,
            edgecolor="white", linewidth=0.8, ecolor="0.2", zorder=2,
        )  # fmt: skip
        axis.hlines(
            rows["chance"], at - width / 2, at + width / 2, color="black", linestyle=":", linewidth=1.6, zorder=3
        )
        axis.bar(0, 0, color="0.6", edgecolor="white", hatch=hatch, label=f"changed {change}")
    axis.set_xticks(range(len(models)), labels=[f"model {model}" for model in models])
    axis.set_ylim(0, 1)
    axis.grid(visible=False, axis="x")
    axis.set_title("Masks of changed radiographs: Jaccard index", fontsize=10)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False, fontsize=8.5)


def removal_caption(curves: pd.DataFrame, most_images: int, masks: bool) -> str:
    """Return on whom, over how many seeds, what bands and bars are, and what orders the patches."""
    said = (
        f"Test split, {int(curves['n_patients'].max()):,} patients, curves on at most {most_images} radiographs drawn "
        f"once; {seeds_note(curves['n_seeds'])}; bands and bars: 95 % bootstrap intervals over patients. Patches go or "
        "come in the order of the model's own mask, without one in that of their cosine to the report."
    )
    return said + (" Dotted: two random masks of the same sizes." if masks else "")
