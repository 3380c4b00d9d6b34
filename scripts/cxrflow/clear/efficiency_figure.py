"""What encoders are worth for what they cost: accuracy against the share of labels, and against compute."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cxrflow.clear.pictures import WIDTH, note, spoken
from cxrflow.label_measures import AUROC
from cxrflow.measured import MEAN
from cxrflow.plotting import colours_by_place, error_bars, figure_style, save_figure, seeds_note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BESIDE = 1.05  # factor between the places of two encoders that learn from the same share
ROOM = 1.5  # factor from end to end of the places of all that cost the same
MARKERS = ("o", "s", "^", "D", "v")


def plot_efficiency(metrics: pd.DataFrame, compute: pd.DataFrame, outputs: Sequence[Path]) -> None:
    """Draw the mean AUROC of the first task: over the share of labels (the first aggregator), and over the
    multiplications of one slice (all aggregators, the largest share)."""
    import matplotlib.pyplot as plt

    rows = metrics[(metrics["metric"] == AUROC) & (metrics["label"] == MEAN) & metrics["value"].notna()]
    rows = rows[rows["task"] == metrics["task"].iloc[0]]
    colours = colours_by_place(metrics["encoder"])
    with figure_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.0), sharey=True, layout="constrained")
        _draw_shares(left, rows[rows["aggregator"] == rows["aggregator"].iloc[0]], colours)
        _draw_compute(right, rows[rows["fraction"] == rows["fraction"].max()], compute, colours)
        left.set_ylabel("mean AUROC")
        for axis in (left, right):
            axis.axhline(0.5, color="0.35", linestyle=":", linewidth=1.3)
            axis.minorticks_off()
        note(figure, _caption(rows), bool(metrics["simulated"].any()))
        save_figure(figure, *outputs)


def _draw_shares(axis: "Axes", rows: pd.DataFrame, colours: dict[str, str]) -> None:
    axis.set_xscale("log")
    for number, (encoder, colour) in enumerate(colours.items()):
        own = rows[rows["encoder"] == encoder].sort_values("fraction")
        at = own["fraction"] * BESIDE ** (number - (len(colours) - 1) / 2)
        axis.errorbar(
            at, own["value"], yerr=error_bars(own), fmt="-o", markersize=4, linewidth=1.6, elinewidth=1, color=colour,
            label=encoder,
        )  # fmt: skip
    ticks = sorted(rows["fraction"].unique())
    axis.set_xticks(ticks, labels=[f"{100 * tick:g}" for tick in ticks])
    axis.set_xlabel("patients with labels (% of a fold's)")
    axis.set_title(f"From few labels ({spoken(rows['aggregator'].iloc[0])})", fontsize=10)
    axis.legend(fontsize=9, loc="lower right")
    axis.grid(visible=False, axis="x")


def _draw_compute(axis: "Axes", rows: pd.DataFrame, compute: pd.DataFrame, colours: dict[str, str]) -> None:
    """Draw a point per encoder and aggregator; those that cost the same stand side by side."""
    costs = compute.set_index("encoder").loc[list(colours)]
    aggregators = list(dict.fromkeys(rows["aggregator"]))
    cases = [(aggregator, encoder) for aggregator in aggregators for encoder in colours]
    axis.set_xscale("log")
    for shift, (aggregator, encoder) in zip(np.linspace(-0.5, 0.5, len(cases)), cases, strict=True):
        own = rows[(rows["encoder"] == encoder) & (rows["aggregator"] == aggregator)]
        marker = MARKERS[aggregators.index(aggregator) % len(MARKERS)]
        style: dict[str, Any] = {"fmt": marker, "markersize": 5, "elinewidth": 1, "color": colours[encoder]}
        axis.errorbar(own["encoder"].map(costs["macs"]) * ROOM**shift, own["value"], yerr=error_bars(own), **style)
    for marker, aggregator in zip(MARKERS, aggregators, strict=False):
        axis.plot([], [], marker, color="0.3", markersize=5, label=spoken(aggregator))
    axis.legend(fontsize=9, loc="lower right")
    _name_costs(axis, costs)
    axis.set_xlabel("multiplications of one slice, parameters, slices per second")
    axis.set_title("For its compute (all labels)" if rows["fraction"].max() == 1 else "For its compute", fontsize=10)
    axis.grid(visible=False, axis="x")


def _name_costs(axis: "Axes", costs: pd.DataFrame) -> None:
    """Label each amount of compute once; the speed is the median of the encoders that have it."""
    once = costs.groupby("macs", as_index=False).agg({"parameters": "first", "images_per_s": "median"})
    labels = [
        f"{_short(macs)}\n{_short(parameters)}\n{speed:.0f} /s"
        for macs, parameters, speed in zip(once["macs"], once["parameters"], once["images_per_s"], strict=True)
    ]
    axis.set_xticks(once["macs"].tolist(), labels=labels, fontsize=9)
    axis.set_xlim(once["macs"].min() / ROOM, once["macs"].max() * ROOM)


def _short(number: float) -> str:
    """Return a large number in millions or thousand millions."""
    return f"{number / 1e9:.3g} G" if number >= 1e9 else f"{number / 1e6:.3g} M"


def _caption(rows: pd.DataFrame) -> str:
    folds = int(np.max(rows["n_folds"]))
    return (
        f"Task {spoken(rows['task'].iloc[0])}, test split, {int(rows['n_patients'].max()):,} patients; "
        f"{seeds_note(rows['n_seeds'])} and {folds} folds; bars: 95 % bootstrap intervals over test patients; dotted: "
        "chance. The epoch of each classifier is chosen on all patients of the fold held out."
    )
