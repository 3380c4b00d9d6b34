"""The pointing games of all systems drawn: values with intervals beside what chance and the centre give."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter

from cxrflow.forgetting.figures import FEW
from cxrflow.plotting import PALETTE, caption, error_bars, figure_style, save_figure
from cxrflow.summary.pointing import CENTRE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LINE, REST = 8.0, 0.14, 0.75  # inches: the figure, one point, what is around the points of a panel
BESIDE = 0.75  # of a finding's row, that its points take up
TITLES = {
    "neural": "kept patches inside boxes",
    "patchib": "hottest patch inside boxes",
    "clear": "slice with most attention has a marked lesion",
}
SPOKEN = {"norm": "norm of features", "random": "random patches", "all": "all findings"}
"""Ways to look and findings whose names in the table are short."""


def plot_pointing(table: pd.DataFrame, shown: Collection[str], outputs: Sequence[Path]) -> None:
    """Draw a panel per system and cohort, a row per finding with enough images, a point per way to look.

    `shown` are the ways (`looks`) of neural and patchib that are drawn; all encoders of clear are.
    """
    rows = table[(table["n"] >= FEW) & (table["looks"].isin(list(shown)) | (table["system"] == "clear"))]
    with figure_style():
        figure = draw(rows)
        caption(figure, pointing_caption(rows), bool(table["simulated"].all()) and len(table) > 0, "images")
        save_figure(figure, *outputs)


def draw(rows: pd.DataFrame) -> "Figure":
    """Return the figure without its caption; an empty panel where there is nothing to draw."""
    import matplotlib.pyplot as plt

    panels = [(str(names[0]), str(names[1]), own) for names, own in rows.groupby(["system", "cohort"], sort=False)]
    heights = [REST + LINE * max(len(own), 2) for *_, own in panels] or [REST]
    figure, axes = plt.subplots(
        len(heights), 1, figsize=(WIDTH, sum(heights)), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for axis, (system, cohort, own) in zip(axes[:, 0], panels, strict=False):
        _draw_panel(axis, own)
        axis.set_title(f"{system}, {cohort}: {TITLES[system]}", loc="left", fontsize=10)
    for axis in axes[:, 0]:
        axis.set_xlim(-0.02, 1.02)
        axis.xaxis.set_major_formatter(PercentFormatter(1))
    return figure


def pointing_caption(rows: pd.DataFrame) -> str:
    """Return on whom it was measured, and what is drawn."""
    if rows.empty:
        return f"No finding has known boxes on {FEW} images."
    return (
        "Points: how much of what is looked at lies where the finding is, means over images and seeds; bars: 95 % "
        "bootstrap intervals over patients; lines: chance (a random place); diamonds: the most central places. "
        "In brackets: images (clear: patients with marked and other slices); "
        f"findings on under {FEW} are left out. neural counts the few patches that it keeps at its smallest share, "
        "patchib one patch, clear one slice: compare each with its own chance and centre."
    )


def _draw_panel(axis: "Axes", rows: pd.DataFrame) -> None:
    findings = rows.groupby("finding")["n"].max().sort_values(ascending=False, kind="stable")
    ways = list(dict.fromkeys(rows["looks"]))
    steps = (np.arange(len(ways)) - (len(ways) - 1) / 2) * BESIDE / max(len(ways), 2)
    for way, step, colour in zip(ways, steps, PALETTE * len(ways), strict=False):
        own = rows[rows["looks"] == way]
        places = findings.index.get_indexer(pd.Index(own["finding"])) + step
        style: dict[str, Any] = {"fmt": "o", "markersize": 4.5, "elinewidth": 1.3, "color": colour}
        axis.errorbar(own["value"], places, xerr=error_bars(own), label=SPOKEN.get(way, way), **style)
    _draw_beside(axis, rows.drop_duplicates("finding"), findings.index)
    names = [f"{SPOKEN.get(str(name), name)} ({count})" for name, count in findings.items()]
    axis.set_yticks(range(len(findings)), labels=names, fontsize=8.5)
    axis.set_ylim(len(findings) - 0.45, -0.55)
    axis.grid(visible=False, axis="y")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8.5, frameon=False)


def _draw_beside(axis: "Axes", rows: pd.DataFrame, findings: pd.Index) -> None:
    """Draw what chance and the centre give, of each finding."""
    places = findings.get_indexer(pd.Index(rows["finding"]))
    axis.vlines(rows["chance"], places - 0.42, places + 0.42, color="0.25", linewidth=1.4, label="chance")
    style: dict[str, Any] = {"marker": "D", "s": 26, "facecolor": "none", "edgecolor": "0.25", "linewidth": 1.1}
    axis.scatter(rows[CENTRE].astype(float), places, label="centre", zorder=3, **style)
