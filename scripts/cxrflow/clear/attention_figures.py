"""Attention along the slices of test patients, and the slices that have most of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxrflow.clear.attention import Shown
from cxrflow.clear.pictures import WIDTH, note
from cxrflow.cohort.store import ImageStore
from cxrflow.panels import Panel, draw_boxes, draw_row, panel_canvas
from cxrflow.plotting import PALETTE, colours_by_place, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT, COLUMNS = 1.9, 3  # inches of a row of panels, and panels in it
SLICE = 1.7  # inches of a slice
MARKED = PALETTE[1]


def plot_attention(
    shown: Sequence[Shown], encoders: Sequence[str], about: str, simulated: bool, outputs: list[Path]
) -> None:
    """Draw a panel per bag: attention over its slices by encoder, times their number; key slices are shaded.

    1 is what the mean of all slices would give each. `about` says what the attention is of.
    """
    import matplotlib.pyplot as plt

    rows = max(1, -(-len(shown) // COLUMNS))
    with figure_style():
        figure, axes = plt.subplots(
            rows, COLUMNS, figsize=(WIDTH, HEIGHT * rows), squeeze=False, sharey=True, layout="constrained"
        )
        for axis, bag in zip(axes.flat, shown, strict=False):
            draw_bag(axis, bag, colours_by_place(encoders))
        for axis in axes.flat[len(shown) :]:
            axis.set_axis_off()
        for axis in axes[:, 0]:
            axis.set_ylabel("attention\n(1: as the mean)")
        for axis in axes[-1]:
            axis.set_xlabel("slice, in order")
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=5, frameon=False)
        note(figure, f"{about} Lesions are marked on the shaded slices; others may show them as well.", simulated)
        save_figure(figure, *outputs)


def draw_bag(axis: "Axes", bag: Shown, colours: dict[str, str]) -> None:
    """Draw one bag's attention."""
    number = len(bag.slices)
    label: str | None = "slice with a marked lesion"
    for place in np.flatnonzero(bag.slices["key"].to_numpy()):
        axis.axvspan(place + 0.5, place + 1.5, color=MARKED, alpha=0.25, linewidth=0, label=label)
        label = None
    for encoder, colour in colours.items():
        if encoder in bag.attention:
            heights = bag.attention[encoder] * number
            axis.plot(np.arange(1, number + 1), heights, "-o", color=colour, markersize=3, linewidth=1.4, label=encoder)
    axis.axhline(1.0, color="0.35", linestyle=":", linewidth=1.2)
    axis.set_xlim(0.5, number + 0.5)
    axis.locator_params(axis="x", integer=True, nbins=8)
    axis.grid(visible=False, axis="x")


def plot_top_slices(
    shown: Sequence[Shown], encoder: str, store: ImageStore, top: int, about: str, simulated: bool, output: Path
) -> None:
    """Draw a row per bag: the slices with the highest attention of `encoder`, marked lesions outlined."""
    with figure_style():
        figure, grid = panel_canvas(len(shown), top, size=SLICE)
        for row, bag in zip(grid, shown, strict=False):
            weights = bag.attention[encoder]
            best = np.argsort(-weights, kind="stable")[:top]
            slices = bag.slices.iloc[best]
            images = store.images[store.rows(slices["image_id"])]
            titles = [f"slice {place + 1} of {len(weights)}: {100 * weights[place]:.0f} %" for place in best.tolist()]
            draw_row(row[: len(best)], [Panel(*both) for both in zip(titles, images, strict=True)])
            for axis, (_, sample) in zip(row, slices.iterrows(), strict=False):
                _outline(axis, sample, images.shape[-1])
        note(figure, f"{about} Marked lesions are outlined.", simulated)
        save_figure(figure, output)


def _outline(axis: "Axes", sample: pd.Series, side: int) -> None:
    if sample["key"]:
        for kind in sorted({box["label"] for box in sample["boxes"]}):
            draw_boxes(axis, sample, kind, side, 1.3)
