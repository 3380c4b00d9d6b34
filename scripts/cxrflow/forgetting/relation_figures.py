"""What forgetting goes with, drawn from its tables: frequency of a class, and what two classes have in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter

from cxrflow.forgetting.exemplar_figures import draw_legacy_counts
from cxrflow.forgetting.figures import GROUPS, INTERVALS, Words, people, seeds
from cxrflow.forgetting.labels import name_points
from cxrflow.forgetting.table_rows import FIXED, LEGACY
from cxrflow.plotting import PALETTE, caption, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RELATIONS = {
    "frequency_difference": "difference of frequencies, |ln f$_a$ − ln f$_b$|",
    "iou_root": "overlap of the classes, IoU$^{1/4}$",
}
QUANTITIES = ("first_drop", "final_change")
FORMULAS = {FIXED: "images with the class", LEGACY: "row sums, as released"}
COLUMNS = {FIXED: "{}", LEGACY: "legacy_{}"}
"""The column of a relation by each formula."""
NEVER = 0.09  # how far beyond the last level classes stand that never drop
TELLING, COUNTS = 4.0, 3.0  # inches: the height of a panel of pairs, and of one of disease counts


def plot_correlations(
    forgettability: pd.DataFrame, correlations: pd.DataFrame, outputs: Sequence[Path], words: Words
) -> None:
    """Draw first drop and final change of every class against its frequency, for the first method of the tables."""
    import matplotlib.pyplot as plt

    classes, found = first_method(forgettability), first_method(correlations)
    found = found[found["against"] == "log_frequency"]
    with figure_style():
        figure, panels = plt.subplots(1, 2, figsize=(11, 5.4), sharey=True, layout="constrained")
        for panel, quantity in zip(panels, QUANTITIES, strict=True):
            draw_frequency(panel, classes, found[found["quantity"] == quantity], quantity)
        panels[0].set_xlabel(f"first drop: {words.axis} (%)")
        panels[1].set_xlabel("relative change of average precision at the last level (%)")
        panels[0].set_ylabel("training images (logarithmic)")
        draw_groups(panels[0], classes)
        figure.draw_without_rendering()
        for panel, quantity in zip(panels, QUANTITIES, strict=True):
            name_classes(panel, classes, quantity)
        caption(figure, correlations_caption(classes, words), bool(classes["simulated"].any()))
        save_figure(figure, *outputs)


def draw_frequency(axis: "Axes", classes: pd.DataFrame, found: pd.DataFrame, quantity: str) -> None:
    """Draw one point per class, the least-squares line of the table, and the coefficients above the panel."""
    shown = placed(classes, quantity)
    for (group, never), part in shown.groupby(["group", "never"]):
        colour = GROUPS[str(group)]
        fill = "white" if never else colour
        axis.scatter(part["at"], part["train_count"], s=24, edgecolor=colour, facecolor=fill, zorder=3)
    axis.set_yscale("log")
    axis.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    _frame(axis, shown["at"], shown["train_count"])
    drops = shown.loc[~shown["never"], "at"]
    _draw_line(axis, found, drops, logarithmic=True)
    if shown["never"].any():
        middle = shown.loc[shown["never"], "at"].iloc[0]
        axis.axvspan(middle - NEVER / 2, axis.get_xlim()[1], color="0.94", zorder=0, linewidth=0)
        style: dict[str, Any] = {"transform": axis.get_xaxis_transform(), "ha": "center", "va": "top", "fontsize": 8}
        axis.text(middle, 0.99, "never", **style)
        axis.set_xticks([tick for tick in axis.get_xticks() if axis.get_xlim()[0] <= tick < middle - NEVER / 2])
    axis.set_title(coefficients(found), fontsize=9, loc="left")


def placed(classes: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return the classes that can be drawn, rarest first, with columns `at` and `never`.

    A class that never drops stands right of every first drop.
    """
    never = classes["censored"] & (quantity == "first_drop")
    beyond = max(1.0, float(classes["first_drop"].max(skipna=True))) + NEVER
    shown = classes.assign(at=classes[quantity].where(~never, beyond), never=never)
    return shown[shown["at"].notna() & (shown["train_count"] > 0)].sort_values(["train_count", "class"])


def name_classes(axis: "Axes", classes: pd.DataFrame, quantity: str) -> None:
    """Write the name of every class beside its point."""
    shown = placed(classes, quantity)
    name_points(axis, list(zip(shown["at"], shown["train_count"], strict=True)), shown["class"].tolist())


def draw_groups(axis: "Axes", classes: pd.DataFrame) -> None:
    """Say which colour is which group of the long tail."""
    for group, colour in GROUPS.items():
        if (classes["group"] == group).any():
            axis.scatter([], [], color=colour, s=24, label=group)
    axis.legend(loc="lower right", frameon=False, fontsize=8)


def plot_dissimilarity(pairs: pd.DataFrame, correlations: pd.DataFrame, outputs: Sequence[Path], words: Words) -> None:
    """Draw how far apart the curves of two classes lie against what the classes have in common (first method)."""
    found = first_method(correlations)
    found = found[found["quantity"] == "fcd"]
    _plot_pairs(first_method(pairs), found, [str(found["formula"].iloc[0])], outputs, words)


def plot_legacy(
    pairs: pd.DataFrame, legacy: pd.DataFrame, ratios: pd.DataFrame, outputs: Sequence[Path], words: Words
) -> None:
    """Draw the same by both formulas, one above the other, and below it how many diseases exemplars have by both."""
    _plot_pairs(first_method(pairs), first_method(legacy), list(FORMULAS), outputs, words, ratios)


def draw_pairs(axis: "Axes", pairs: pd.DataFrame, found: pd.DataFrame, column: str) -> None:
    """Draw one point per pair of classes against a column, the line of the table, and circles at the telling pairs."""
    axis.scatter(pairs[column], pairs["value"], s=12, color=PALETTE[0], alpha=0.55, linewidth=0, zorder=2)
    told = telling(pairs)
    axis.scatter(told[column], told["value"], s=26, facecolor="none", edgecolor="black", zorder=3)
    axis.margins(0.09)
    _draw_line(axis, found, pairs[column])
    axis.set_title(coefficients(found), fontsize=9, loc="left")


def name_pairs(axis: "Axes", pairs: pd.DataFrame, column: str) -> None:
    """Name the telling pairs."""
    told = telling(pairs)
    names = [f"{a} – {b}" for a, b in zip(told["class_a"], told["class_b"], strict=True)]
    points, others = (list(zip(rows[column], rows["value"], strict=True)) for rows in (told, pairs))
    name_points(axis, points, names, others)


def telling(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs with the smallest and largest distance, overlap and difference of frequencies, each once."""
    rows = pairs.dropna(subset=["value"]).sort_values(["class_a", "class_b"])
    if rows.empty:
        return rows
    places = [rows["value"].idxmax(), rows["value"].idxmin(), rows["iou_root"].idxmax()]
    places.append(rows["frequency_difference"].idxmax())
    return rows.loc[list(dict.fromkeys(places))]


def coefficients(found: pd.DataFrame) -> str:
    """Return r and rho with interval and p, as the table has them, on a line each."""
    lines = []
    for metric, symbol in (("pearson", "r"), ("spearman", "ρ")):
        row = found[found["metric"] == metric].iloc[0]
        if np.isnan(row["value"]):
            lines.append(f"{symbol}: not defined")
            continue
        span = "" if np.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
        p = f"p = {row['p']:.3f}" if row["p"] >= 0.001 else "p < .001"
        lines.append(f"{symbol} = {row['value']:.2f}{span}, {p}".replace("-", "−"))
    return "\n".join(lines)


def correlations_caption(classes: pd.DataFrame, words: Words) -> str:
    """Return whose classes these are, which are censored or left out, and where interval and p come from."""
    said = (
        f"{people(classes)}; {words.method(classes['method'].iloc[0])}; medians over {seeds(classes)}. "
        f"{INTERVALS.format('Brackets')} p: permutations of the classes. Line: least squares."
    )
    never = int(classes["censored"].sum())
    if never:
        said += f" Hollow: never drops ({never}); without part in r and the line, tied last for ρ."
    lost = classes.loc[classes["final_change"].isna(), "class"]
    return said + (f" Left out, for want of positive test images: {', '.join(lost)}." if len(lost) else "")


def pairs_caption(pairs: int, found: pd.DataFrame, words: Words) -> str:
    """Return how many pairs there are, whose, and where interval and p come from."""
    lost = int(found["n_left_out"].max())
    said = (
        f"{people(found)}; {words.method(found['method'].iloc[0])}; medians over {seeds(found)}; "
        f"{pairs:,} pairs of {int(found['n_classes'].max())} classes. {INTERVALS.format('Brackets')} "
        "p: permutations of the classes (Mantel). Line: least squares. Frequency and overlap are of the test split."
    )
    return said + (f" {lost} without positive test images are left out." if lost else "")


def first_method(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the first method, the one that the paper is about."""
    return table[table["method"].isin(table["method"].iloc[:1])]


def _plot_pairs(
    pairs: pd.DataFrame,
    found: pd.DataFrame,
    formulas: Sequence[str],
    outputs: Sequence[Path],
    words: Words,
    ratios: pd.DataFrame | None = None,
) -> None:
    """Draw a row of panels per formula, a panel per relation; with `ratios` a wide one of disease counts below."""
    import matplotlib.pyplot as plt

    heights = [TELLING] * len(formulas) + ([] if ratios is None else [COUNTS])
    with figure_style():
        figure = plt.figure(figsize=(11, 0.6 + sum(heights)), layout="constrained")
        grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
        panels: list[tuple[Axes, str]] = []
        for row, formula in enumerate(formulas):
            for place, against in enumerate(RELATIONS):
                panel = figure.add_subplot(grid[row, place], sharey=panels[0][0] if panels else None)
                own = found[(found["against"] == against) & (found["formula"] == formula)]
                panels.append((panel, COLUMNS[formula].format(against)))
                draw_pairs(panel, pairs, own, panels[-1][1])
                panel.set_xlabel(RELATIONS[against])
                panel.tick_params(labelleft=place == 0)
            panels[-2][0].set_ylabel(f"distance of the curves (FCD)\nfrequency: {FORMULAS[formula]}", fontsize=9)
        if ratios is not None:
            draw_legacy_counts(figure.add_subplot(grid[-1, :]), ratios)
        figure.draw_without_rendering()
        for panel, column in panels:
            name_pairs(panel, pairs, column)
        caption(figure, pairs_caption(len(pairs), found, words), bool(found["simulated"].any()))
        save_figure(figure, *outputs)


def _frame(axis: "Axes", x: pd.Series, y: pd.Series) -> None:
    """Leave room for names around the points."""
    if len(x):
        reach = max(0.05, 0.16 * float(x.max() - x.min()))
        axis.set_xlim(float(x.min()) - reach, float(x.max()) + reach)
        axis.set_ylim(float(y.min()) / 1.8, float(y.max()) * 1.8)


def _draw_line(axis: "Axes", found: pd.DataFrame, x: pd.Series, logarithmic: bool = False) -> None:
    """Draw the table's line over the range of the points, within the limits of the panel."""
    row = found[found["metric"] == "pearson"].iloc[0]
    if np.isnan(row["slope"]):
        return
    limits = axis.get_xlim(), axis.get_ylim()
    places = np.linspace(x.min(), x.max(), 50)
    heights = row["slope"] * places + row["intercept"]
    axis.plot(places, np.exp(heights) if logarithmic else heights, color="0.4", linewidth=1.2, zorder=1)
    axis.set(xlim=limits[0], ylim=limits[1])
