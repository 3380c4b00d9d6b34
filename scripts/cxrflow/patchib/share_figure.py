"""Fewer patches: what retrieval loses, and what speed and memory gain where dropped patches save work."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter

from cxrflow.patchib.exported import reference_of
from cxrflow.patchib.figures import WIDTH
from cxrflow.plotting import caption, colours_by_place, error_bars, figure_style, save_figure, seeds_note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRIC = "recall@1"
HEIGHT = 3.6  # inches
BESIDE = 0.007  # of all patches, between the intervals of two models
COSTS = {"images_per_s": ("radiographs per second", 1.0), "peak_bytes": ("peak memory of a pass (MB)", 1e-6)}
"""Columns of `efficiency` that a panel shows, their titles and units."""


class Costs(NamedTuple):
    """Rows of `efficiency`: models measured at several shares, and the one that sees the whole radiograph, if any."""

    dropping: pd.DataFrame
    whole: pd.DataFrame


def plot_shares(shares: pd.DataFrame, metrics: pd.DataFrame, efficiency: pd.DataFrame, outputs: Sequence[Path]) -> None:
    """Draw the kept share of patches against R@1 (image to text), radiographs per second and peak memory.

    From the tables of these names: `metrics` has the chance line, `efficiency` the costs of models that drop tokens.
    """
    import matplotlib.pyplot as plt

    colours, costs = colours_by_place(metrics["model"]), costs_of(efficiency)
    count = 1 if costs.dropping.empty else 1 + len(COSTS)
    with figure_style():
        size = (WIDTH * max(count, 1.6) / 3, HEIGHT)
        figure, axes = plt.subplots(1, count, figsize=size, squeeze=False, layout="constrained")
        draw_recall(axes[0, 0], shares[shares["metric"] == METRIC], colours)
        axes[0, 0].axhline(chance_of(metrics), color="0.35", linestyle=":", linewidth=1.3, label="chance")
        axes[0, 0].legend(frameon=False, fontsize=8.5)
        for axis, column in zip(axes[0, 1:], COSTS, strict=False):
            draw_cost(axis, costs, column, colours)
        for axis in axes.flat:
            axis.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
            axis.set_xlabel("patches kept (%)")
        caption(figure, shares_caption(shares, costs), bool(metrics["simulated"].any()))
        save_figure(figure, *outputs)


def costs_of(efficiency: pd.DataFrame) -> Costs:
    """Return the rows of models that were measured at several shares, one per share, and that of the model which others
    are compared with, among those that see all patches."""
    rows = efficiency.drop_duplicates(["model", "keep_ratio"]).sort_values("keep_ratio", kind="stable")
    several = rows.groupby("model")["keep_ratio"].transform("size") > 1
    lowest = rows.groupby("model", sort=False)["keep_ratio"].min()
    whole = lowest.index[lowest == 1].tolist()
    return Costs(rows[several], rows[rows["model"] == reference_of(whole)] if whole else rows.head(0))


def chance_of(metrics: pd.DataFrame) -> float:
    """Return the chance of a hit at the first rank, image to text."""
    return float(metrics.loc[(metrics["task"] == "retrieval i2t") & (metrics["metric"] == METRIC), "chance"].iloc[0])


def draw_recall(axis: "Axes", shares: pd.DataFrame, colours: dict[str, str]) -> None:
    """Draw one line with intervals per model, each a little beside the others."""
    places = np.arange(shares["model"].nunique()) - (shares["model"].nunique() - 1) / 2
    for place, (model, rows) in zip(places, _by_model(shares), strict=True):
        axis.errorbar(
            rows["keep_ratio"] + BESIDE * place, rows["value"], yerr=error_bars(rows), color=colours[model], marker="o",
            markersize=4.5, linewidth=1.6, elinewidth=1, label=f"model {model}",
        )  # fmt: skip
    axis.set_title("R@1, image to text", fontsize=10)


def draw_cost(axis: "Axes", costs: Costs, column: str, colours: dict[str, str]) -> None:
    """Draw one line per model that drops tokens, and a line across at the model that sees the whole radiograph."""
    title, unit = COSTS[column]
    for model, rows in _by_model(costs.dropping):
        style: dict[str, Any] = {"color": colours[model], "marker": "o", "markersize": 4.5, "linewidth": 1.6}
        axis.plot(rows["keep_ratio"], rows[column] * unit, label=f"model {model}", **style)
    for model, value in zip(costs.whole["model"], costs.whole[column], strict=True):
        axis.axhline(
            value * unit, color=colours[model], linestyle="--", linewidth=1.2, label=f"model {model}, all patches"
        )
    axis.set_ylim(0, 1.35 * axis.get_ylim()[1])
    axis.set_title(title, fontsize=10)
    axis.legend(loc="upper right", frameon=False, fontsize=8.5)


def shares_caption(shares: pd.DataFrame, costs: Costs) -> str:
    """Return on whom recall was measured, over how many seeds, and on what machine the costs."""
    if shares.empty:
        return "No model selects patches."
    said = (
        f"Test split, {int(shares['n_patients'].max()):,} patients; {seeds_note(shares['n_seeds'])}, none trained anew "
        "for a share; bars: 95 % bootstrap intervals over patients; dotted: chance."
    )
    if len(costs.dropping):
        first = costs.dropping.iloc[0]
        said += (
            f" Speed and memory: radiographs alone on {first['device']}, {int(first['batch'])} per pass, one seed, no "
            "intervals."
        )
    return said


def _by_model(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for model, rows in table.groupby("model", sort=False):
        yield str(model), rows.sort_values("keep_ratio")
