"""What each kind of compression forgets first, systems side by side: weights set to zero, patches taken away."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter

from cxrflow.files import write_twins
from cxrflow.forgetting.figures import FEW, GROUPS, HIGHEST
from cxrflow.plotting import caption, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRIC = "auprc_change"
WIDTH, TOP, ROW = 5.2, 3.2, 0.24  # inches: a column, its curves, a line of its classes
FORGOTTEN = 4  # classes whose curves are named


@dataclass(frozen=True)
class Place:
    """One system on one cohort: what is taken away there, and the tables of its main way to compress."""

    system: str
    axis: str
    curves: pd.DataFrame
    forgettability: pd.DataFrame

    @classmethod
    def read(cls, system: str, axis: str, curves: Path, forgettability: Path) -> "Place":
        """Read the tables; their first method is the one that the analysis is about."""
        tables = (pd.read_parquet(curves), pd.read_parquet(forgettability))
        return cls(system, axis, *(table[table["method"] == table["method"].iloc[0]] for table in tables))

    @property
    def told(self) -> pd.DataFrame:
        """The classes with enough positive test images for a curve, the most forgotten first; all where none has."""
        enough = self.forgettability[self.forgettability["n_positive"] >= FEW]
        chosen = enough if len(enough) else self.forgettability
        return chosen.sort_values(["final_change", "class"], ignore_index=True)


def write_side_by_side(table: Path, figures: Sequence[Path], places: Sequence[Place]) -> None:
    """Write the table and the figure of all places."""
    write_twins(table, side_by_side(places))
    with figure_style():
        save_figure(draw(places), *figures)


def side_by_side(places: Sequence[Place]) -> pd.DataFrame:
    """Return one row per place and class, with its rank among the classes of the place (1: forgotten first).

    Forgotten first is what drops first; among equal or no drops, what has lost most in the end.
    """
    tables = []
    for place in places:
        table = place.forgettability.sort_values(["first_drop", "final_change", "class"], na_position="last")
        ranks = np.arange(1, len(table) + 1)
        tables.append(table.assign(system=place.system, compression=place.axis, rank=ranks))
    joined = pd.concat(tables, ignore_index=True)
    first = ["system", "compression", "cohort", "method", "rank", "class"]
    return joined[first + [column for column in joined if column not in first]]


def draw(places: Sequence[Place]) -> "Figure":
    """Return the figure: a column per place, curves above, the classes' losses at the strongest compression below."""
    import matplotlib.pyplot as plt

    rows = max(len(place.told) for place in places)
    heights = [TOP, 0.7 + ROW * rows]
    figure, panels = plt.subplots(
        2,
        len(places),
        figsize=(WIDTH * len(places), sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for column, place in enumerate(places):
        _draw_curves(panels[0, column], place)
        _draw_losses(panels[1, column], place, rows)
    panels[0, 0].set_ylabel("relative change of\naverage precision")
    simulated = all(bool(place.forgettability["simulated"].all()) for place in places)
    caption(figure, _caption(places), simulated)
    return figure


def _draw_curves(axis: "Axes", place: Place) -> None:
    told = place.told
    named = set(told["class"].iloc[:FORGOTTEN])
    for _, about in told.iterrows():
        rows = place.curves[(place.curves["class"] == about["class"]) & (place.curves["metric"] == METRIC)]
        rows = rows.sort_values("sparsity")
        levels, change = np.r_[0, rows["sparsity"]], np.r_[0, rows["value"]]
        first = about["class"] in named
        axis.plot(
            levels, change, color=GROUPS[about["group"]], linewidth=1.8 if first else 0.8, alpha=1 if first else 0.5
        )
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_ylim(-1.05, HIGHEST)
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    axis.set_xlabel(place.axis)
    axis.set_title(f"{place.system}, {place.forgettability['cohort'].iloc[0]}", fontsize=10)


def _draw_losses(axis: "Axes", place: Place, rows: int) -> None:
    told = place.told
    for line, about in enumerate(told.to_dict("records")):
        colour = GROUPS[about["group"]]
        axis.plot([about["final_change_low"], about["final_change_high"]], [line, line], color=colour, linewidth=1.2)
        beyond = about["final_change"] > HIGHEST
        at, marker = (HIGHEST - 0.02, ">") if beyond else (about["final_change"], "o")
        axis.plot(at, line, marker=marker, markersize=4.5, color=colour)
    drops = ["never" if np.isnan(drop) else f"{drop:.0%}" for drop in told["first_drop"]]
    names = [f"{name} ({count})" for name, count in zip(told["class"], told["train_count"], strict=True)]
    axis.set_yticks(range(len(told)), labels=names, fontsize=8)
    axis.set_ylim(rows - 0.4, -0.8)
    axis.set_xlim(-1.05, HIGHEST)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    axis.set_xlabel(f"change at {place.curves['sparsity'].max():.1%} taken away; at the right: first drop")
    for line, drop in enumerate(drops):
        axis.text(HIGHEST + 0.03, line, drop, va="center", fontsize=7.5, color="0.35")


def _caption(places: Sequence[Place]) -> str:
    counted = [
        f"{place.system}: {int(place.forgettability['n_patients'].max())} test patients, "
        f"{int(place.forgettability['n_seeds'].max())} seeds"
        for place in places
    ]
    return (
        f"{'; '.join(counted)}. Lines: median over seeds; bars: 95 % intervals over seeds and patients; blue, green "
        "and red: classes of the head, the middle and the tail, with their training images. Classes with under "
        f"{FEW} positive test images are left out; a triangle: a gain beyond the axis."
    )
