"""The exemplars in one picture: what they show more often than other images, and how reliable the set is."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cxrflow.forgetting.exemplar_tables import CLASS, DISEASES, FIXED, LEGACY
from cxrflow.plotting import PALETTE, caption, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LINE, SMALLEST = 11.0, 0.27, 5.6  # inches: the figure, a class, the figure's least height
MORE, LESS, GREY = PALETTE[3], PALETTE[0], "0.55"
FORMULAS = {FIXED: ("classes only", PALETTE[0], "o"), LEGACY: ("as released: patient id added", PALETTE[1], "s")}
REACH = 1.6  # how far the axis of ratios goes beyond what is drawn
LIMITS = 1e-4, 1e5  # what the axis of ratios shows at most
MEASURES = {"jaccard": "exemplars shared (Jaccard)", "agreement_correlation": "agreement (Spearman)"}


def plot_exemplars(
    ratios: pd.DataFrame, stability: pd.DataFrame, sensitivity: pd.DataFrame, outputs: Sequence[Path], legacy: bool
) -> None:
    """Draw the tables of the same names; `legacy` draws disease counts by the released formula."""
    shown = ratios[(ratios["group"] == CLASS) | (ratios["formula"] == (LEGACY if legacy else FIXED))]
    classes, diseases = (shown[shown["group"] == group] for group in (CLASS, DISEASES))
    with figure_style():
        figure, (first, second, third, fourth) = _canvas(len(classes))
        draw_classes(first, classes)
        draw_diseases(second, diseases)
        draw_stability(third, stability)
        draw_sensitivity(fourth, sensitivity)
        caption(figure, exemplar_caption(ratios, stability, legacy), bool(ratios["simulated"].any()))
        save_figure(figure, *outputs)


def draw_classes(axis: "Axes", rows: pd.DataFrame) -> None:
    """Draw one line per class, the most over-represented on top; classes without a ratio are at the bottom, empty."""
    rows = rows.sort_values(["value", "level"], na_position="first")
    places = np.arange(len(rows))
    _ratio_axis(axis, rows, "x")
    _draw_ratios(axis, rows, places, "x", [MORE if value >= 1 else LESS for value in rows["value"]])
    axis.set_yticks(places, labels=rows["level"].tolist())
    axis.set_ylim(-0.7, len(rows) - 0.3)
    axis.set_xlabel("share among exemplars / share among other images")
    axis.set_title("Classes", loc="left", fontsize=11)
    for place in np.flatnonzero(rows["value"].isna()):
        axis.text(1, place, " no ratio", va="center", fontsize=8, color=GREY)
    edge: dict[str, Any] = {"transform": axis.get_yaxis_transform(), "fontsize": 8, "color": "0.35"}
    for place, number in zip(places, rows["n_pie"], strict=True):
        axis.text(1.02, place, f"{number:,}", va="center", **edge)
    axis.text(1.02, len(rows) - 0.2, "exemplars", va="bottom", **edge)


def draw_diseases(axis: "Axes", rows: pd.DataFrame) -> None:
    """Draw one point per number of diseases, with the number of exemplars below it."""
    places = np.arange(len(rows))
    _ratio_axis(axis, rows, "y")
    _draw_ratios(axis, rows, places, "y", [MORE if value >= 1 else LESS for value in rows["value"]])
    counts = ["–" if pd.isna(number) else f"{number:,}" for number in rows["n_pie"]]
    labels = [f"{level}\n{count}" for level, count in zip(rows["level"], counts, strict=True)]
    axis.set_xticks(places, labels=labels)
    axis.set_xlim(-0.6, len(rows) - 0.4)
    axis.set_xlabel("diseases in the image; exemplars with as many below")
    axis.set_ylabel("ratio")
    axis.set_title("Number of diseases", loc="left", fontsize=11)


def draw_legacy_counts(axis: "Axes", table: pd.DataFrame) -> None:
    """Draw the disease counts of `pie_ratios` by both formulas side by side; bins without a ratio are left empty."""
    rows = table[table["group"] == DISEASES]
    levels = list(dict.fromkeys(rows["level"]))
    _ratio_axis(axis, rows, "y")
    for (formula, (name, colour, marker)), offset in zip(FORMULAS.items(), (-0.12, 0.12), strict=True):
        part = rows[rows["formula"] == formula].set_index("level").loc[levels].reset_index()
        _draw_ratios(axis, part, np.arange(len(levels)) + offset, "y", [colour] * len(levels), marker)
        missing = ", none can be computed" if part["value"].isna().all() else ""
        axis.plot([], [], color=colour, marker=marker, markersize=5, label=f"{name}{missing}")
    axis.set_xticks(range(len(levels)), labels=levels)
    axis.set_xlim(-0.6, len(levels) - 0.4)
    axis.set_xlabel("diseases in the image")
    axis.set_ylabel("share among exemplars / others")
    axis.legend(frameon=False, fontsize=8)


def draw_stability(axis: "Axes", table: pd.DataFrame) -> None:
    """Draw how much two halves of the seeds agree on the exemplars, and what chance would give."""
    numbers = dict(zip(table["metric"], table[["value", "low", "high"]].to_numpy(dtype=float), strict=True))
    for place, (metric, name) in enumerate(MEASURES.items()):
        value, low, high = numbers[metric]
        if np.isfinite(value):
            axis.errorbar(value, place, marker="o", markersize=5, color=PALETTE[2])
        if np.isfinite(low):
            axis.errorbar(value, place, xerr=[[value - low], [high - value]], color=PALETTE[2], capsize=3)
        said = f"{value:.2f}" if np.isfinite(value) else "one seed has no halves"
        axis.text(0.0, place + 0.24, f"{name}: {said}", fontsize=8.5, va="bottom")
    chance = numbers["jaccard_by_chance"][0]
    axis.plot([chance, chance], [-0.25, 0.2], color="black", linestyle=":", label=f"by chance: {chance:.3f}")
    axis.legend(loc="lower right", frameon=False, fontsize=8, borderaxespad=0)
    axis.set_xlim(min(-0.02, 1.1 * float(np.nanmin([0.0, *table["low"]]))), 1.02)
    axis.set_ylim(-0.55, 1.75)
    axis.set_yticks([])
    halves, seeds = (int(table[name].iloc[0]) for name in ("n_halves", "seeds_per_half"))
    compared = f": {_counted(halves, 'pair')} of halves of {_counted(seeds, 'seed')}" if halves else ""
    axis.set_title(f"Stability{compared}", loc="left", fontsize=11)


def draw_sensitivity(axis: "Axes", table: pd.DataFrame) -> None:
    """Draw the Jaccard index of the exemplars of every level and share with the chosen ones, which are framed."""
    import seaborn as sns  # 2 s, and other figures of this module do without

    rows = table[table["metric"] == "jaccard"]
    grid = rows.pivot_table(index="share", columns="sparsity", values="value", dropna=False).sort_index(ascending=False)
    few = grid.shape[1] <= 8
    sns.heatmap(
        grid, ax=axis, vmin=0, vmax=1, cmap="Blues", annot=few, fmt=".2f", annot_kws={"fontsize": 8},
        linewidths=0.6, linecolor="white", cbar_kws={"label": "Jaccard", "pad": 0.02},
    )  # fmt: skip
    step = 1 if few else 2
    places = np.arange(grid.shape[1])[::-1][::step][::-1]
    axis.set_xticks(places + 0.5, labels=[f"{grid.columns[place]:g}" for place in places], rotation=0, fontsize=9)
    axis.set_yticks(np.arange(len(grid)) + 0.5, labels=[f"{100 * share:g} %" for share in grid.index], rotation=0)
    axis.set(xlabel="share taken away", ylabel="exemplars")
    axis.set_title("Sensitivity to share and level", loc="left", fontsize=11)
    at = rows.iloc[0]
    if np.isclose(grid.index, at["default_share"]).any():
        row = int(np.argmin(np.abs(grid.index.to_numpy() - at["default_share"])))
        column = int(np.argmin(np.abs(grid.columns.to_numpy() - at["default_sparsity"])))
        axis.plot([column, column + 1, column + 1, column, column], [row, row, row + 1, row + 1, row], color="black")


def exemplar_caption(ratios: pd.DataFrame, stability: pd.DataFrame, legacy: bool) -> str:
    """Return what the figure must say: who was counted, what exemplars are, and which intervals are drawn."""
    at = ratios.iloc[0]
    pies, images = int(at["n_pies"]), int(at["n_pies"] + at["n_others"])
    over = "patients" if at["n_seeds"] == 1 else "seeds and patients"
    said = (
        f"Test split, {at['n_patients']:,} patients. Exemplars: the {pies:,} of {images:,} images "
        f"({100 * at['share']:g} %) whose classes are ordered most differently with {100 * at['sparsity']:g} % taken "
        f"away; ensembles of {_counted(at['n_seeds'], 'seed')}. Bars: 95 % bootstrap intervals over {over}; triangles: "
        "none of the exemplars."
    )
    if stability["value"].notna().all():
        said += " Stability: mean and central 95 % of the pairs of halves."
    return said + (" Disease counts by the released formula, which adds the patient id." if legacy else "")


def _canvas(classes: int) -> tuple["Figure", tuple["Axes", "Axes", "Axes", "Axes"]]:
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(WIDTH, max(SMALLEST, LINE * classes + 1)), layout="constrained")
    grid = figure.add_gridspec(3, 2, width_ratios=[1.15, 1], height_ratios=[1.25, 0.75, 1])
    left = figure.add_subplot(grid[:, 0])
    top, middle, bottom = (figure.add_subplot(grid[row, 1]) for row in range(3))
    return figure, (left, top, middle, bottom)


def _ratio_axis(axis: "Axes", rows: pd.DataFrame, along: str) -> None:
    """Make `along` ("x" or "y") a logarithmic axis of ratios with a line at 1."""
    drawn = rows[["value", "low", "high"]].to_numpy(dtype=float)
    drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
    low, high = (float(limit) for limit in (min([0.5, *drawn]) / REACH, max([2.0, *drawn]) * REACH))
    (axis.set_xscale if along == "x" else axis.set_yscale)("log")
    (axis.set_xlim if along == "x" else axis.set_ylim)(max(low, LIMITS[0]), min(high, LIMITS[1]))
    (axis.axvline if along == "x" else axis.axhline)(1, color="black", linewidth=1, zorder=1)
    ticks = axis.xaxis if along == "x" else axis.yaxis
    decades = np.log10(min(high, LIMITS[1]) / max(low, LIMITS[0]))
    ticks.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,)))
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ticks.set_minor_formatter(NullFormatter())
    axis.grid(visible=False, axis="y" if along == "x" else "x")


def _draw_ratios(
    axis: "Axes", rows: pd.DataFrame, places: np.ndarray, along: str, colours: Sequence[Any], marker: str = "o"
) -> None:
    """Draw ratios with intervals at `places` of the other axis; a ratio of 0 is a triangle at the axis' end."""
    end = (axis.get_xlim if along == "x" else axis.get_ylim)()[0] * REACH**0.5
    numbers = rows[["value", "low", "high"]].to_numpy(dtype=float)
    for place, colour, (value, low, high) in zip(places, colours, numbers, strict=True):
        if not np.isfinite(value):
            continue
        if np.isfinite(low):
            ends, same = [max(low, end), max(high, end)], [place, place]
            axis.plot(*((ends, same) if along == "x" else (same, ends)), color=colour, linewidth=1.6, zorder=2)
        drawn = max(value, end)
        spot = (drawn, place) if along == "x" else (place, drawn)
        shape = marker if value > 0 else ("<" if along == "x" else "v")
        axis.plot(*spot, marker=shape, color=colour, markersize=5.5, linestyle="none", zorder=3)


def _counted(number: float, word: str) -> str:
    return f"{int(number)} {word}{'' if number == 1 else 's'}"
