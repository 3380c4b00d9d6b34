"""The leaderboard drawn: mean AUROC of the probes with intervals, the best on top, and against what a pass costs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.ticker import EngFormatter, LogLocator

from cxrflow.measured import MEAN
from cxrflow.plotting import caption, colours_by_place, error_bars, figure_style, save_figure, seeds_note
from cxrflow.summary.leaderboard import COST
from cxrflow.summary.probing import PROBE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, ROW, REST = 11.0, 0.27, 1.6  # inches: the figure, a line of it, what is beside the lines
NAMES = ["system", "trained_on", "encoder"]


def plot_leaderboard(table: pd.DataFrame, outputs: Sequence[Path], images: str) -> None:
    """Draw the probes of a cohort's leaderboard; `images` says what the cohort has, as the caption names it."""
    import matplotlib.pyplot as plt

    rows = table[(table["task"] == PROBE) & (table["label"] == MEAN) & (table["metric"] == "auroc")]
    macs = table[(table["task"] == COST) & (table["metric"] == "macs")]
    rows = rows.merge(macs[[*NAMES, "value"]].rename(columns={"value": "macs"}), on=NAMES, how="left")
    colours = colours_by_place(sorted(rows["system"].unique()))
    with figure_style():
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(WIDTH, REST + ROW * len(rows)), width_ratios=[3, 2], sharex=False, layout="constrained"
        )
        _draw_order(left, rows, colours)
        _draw_cost(right, rows, colours)
        caption(figure, _caption(rows, table), bool(table["simulated"].all()), images)
        save_figure(figure, *outputs)


def _draw_order(axis: "Axes", rows: pd.DataFrame, colours: dict[str, str]) -> None:
    for place, (_, row) in enumerate(rows.iterrows()):
        bar = error_bars(row.to_frame().T.astype(dict.fromkeys(("value", "low", "high"), float)))
        axis.errorbar(
            row["value"], place, xerr=bar, fmt="o", markersize=5, elinewidth=1.3, color=colours[row["system"]]
        )
    names = [_spoken(row) for row in rows.to_dict("records")]
    axis.set_yticks(range(len(rows)), labels=names, fontsize=9)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.axvline(0.5, color="0.35", linestyle=":", linewidth=1.3)
    axis.set_xlabel("mean AUROC of a linear probe")
    axis.grid(visible=False, axis="y")


def _draw_cost(axis: "Axes", rows: pd.DataFrame, colours: dict[str, str]) -> None:
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axis.minorticks_off()
    known = rows["macs"].dropna()
    if len(known):
        axis.set_xlim(known.min() / 2, known.max() * 2)  # encoders of one cost alone would leave the axis no width
    for system, own in rows.dropna(subset="macs").groupby("system", sort=True):
        style: dict[str, Any] = {"fmt": "o", "markersize": 5, "elinewidth": 0.8, "color": colours[str(system)]}
        axis.errorbar(own["macs"], own["value"], yerr=error_bars(own), label=str(system), **style)
    axis.axhline(0.5, color="0.35", linestyle=":", linewidth=1.3)
    axis.set_xlabel("multiplications of one image")
    axis.set_ylabel("mean AUROC")
    if len(known):
        axis.legend(fontsize=9, loc="lower right")


def _spoken(row: dict) -> str:
    """Return an encoder's name; where it was trained on other patients, with their cohort."""
    where = f" ({row['trained_on']})" if row["trained_on"] != row["cohort"] else ""
    return f"{row['system']}: {row['encoder']}{where}"


def _caption(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    if rows.empty:
        return f"{table['cohort'].iloc[0]}: no label has both outcomes in the train and in the test split."
    labels = table.loc[(table["task"] == PROBE) & (table["label"] != MEAN), "label"].nunique()
    return (
        f"{rows['cohort'].iloc[0]}, test split, {int(rows['n_patients'].iloc[0]):,} patients, mean over {labels} "
        f"labels, {seeds_note(rows['n_seeds'])}; bars: 95 % bootstrap intervals over patients; dotted: chance. Probes "
        "learn from all labels of the train split; in brackets: the cohort that an encoder was trained on."
    )
