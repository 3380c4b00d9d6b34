"""Forgetting along the compression, drawn from its tables: the mean over classes, and the curve of every class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.ticker import PercentFormatter

from cxrflow.forgetting.labels import spread
from cxrflow.forgetting.table_rows import MEAN
from cxrflow.plotting import PALETTE, caption, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

METRICS = {"auprc": "average precision", "auroc": "AUROC"}
GROUPS = {"head": PALETTE[0], "medium": PALETTE[2], "tail": PALETTE[3]}
"""Where a class lies on the long tail, and its colour in every figure."""
MARKS = {"first": ("v", "welch", "Welch's t-test (the paper's)"), "first_holm": ("D", "paired", "paired t-test, Holm")}
"""The first significant level: marker, test and name, by the column that tells it."""
FEW = 10  # positive test images under which a curve is mostly noise
HIGHEST = 0.2  # relative gain that is drawn at most
PANEL = 3.7, 3.4  # inches


@dataclass(frozen=True)
class Words:
    """What the figures call things: the axis of compression, and each way to compress."""

    axis: str
    """Such as 'weights removed'; the unit, per cent, is added."""
    methods: Mapping[str, str] = field(default_factory=dict)
    """Names of the methods; those without one keep that of the table."""

    def method(self, name: object) -> str:
        """Return the name of a method."""
        return self.methods.get(str(name), str(name))


def plot_overall(
    metrics: pd.DataFrame,
    overall: pd.DataFrame,
    outputs: Sequence[Path],
    words: Words,
    weights: pd.DataFrame | None = None,
) -> None:
    """Draw the mean over classes against the compression; with `weights` (columns low, high, count, layer_kind) also
    a histogram of their magnitudes."""
    import matplotlib.pyplot as plt

    count = 2 if weights is None else 3
    with figure_style():
        figure, panels = plt.subplots(1, count, figsize=(PANEL[0] * count, PANEL[1]), layout="constrained")
        for panel, metric in zip(panels, METRICS, strict=False):
            draw_mean(panel, metrics, overall, metric, words)
        handles = panels[0].get_legend_handles_labels()[0] + marks_of_significance()
        figure.legend(
            handles=handles, loc="outside upper center", ncols=3 if count == 2 else 5, frameon=False, fontsize=9
        )
        if weights is not None:
            draw_weights(panels[2], weights)
        caption(figure, overall_caption(metrics), bool(metrics["simulated"].any()))
        save_figure(figure, *outputs)


def draw_mean(axis: "Axes", metrics: pd.DataFrame, overall: pd.DataFrame, metric: str, words: Words) -> None:
    """Draw one line per method with its interval, and where it first differs from no compression."""
    means = metrics[(metrics["class"] == MEAN) & (metrics["metric"] == metric)]
    for colour, (method, rows) in zip(PALETTE, means.groupby("method", sort=False), strict=False):
        rows = rows.sort_values("sparsity")
        axis.fill_between(rows["sparsity"], rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
        axis.plot(rows["sparsity"], rows["value"], color=colour, marker="o", markersize=3, label=words.method(method))
        tested = overall[(overall["method"] == method) & (overall["metric"] == metric)]
        for column, (marker, test, _) in MARKS.items():
            at = tested.loc[(tested["test"] == test) & tested[column], "sparsity"]
            point = rows[rows["sparsity"].isin(at)]
            style: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": colour, "linestyle": "none"}
            axis.plot(point["sparsity"], point["value"], marker=marker, markersize=8, zorder=4, **style)
    classes = int(means["n_classes"].max()) if len(means) else 0
    axis.set_title(f"Mean {METRICS[metric]} of {classes} classes", fontsize=10)
    compression_axis(axis, words)


def marks_of_significance() -> list["Line2D"]:
    """Return what stands in a legend for the marks of significance."""
    from matplotlib.lines import Line2D

    style: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": "0.3", "linestyle": "none"}
    return [
        Line2D([], [], marker=m, markersize=8, label=f"first p < .05, {name}", **style) for m, _, name in MARKS.values()
    ]


def draw_weights(axis: "Axes", weights: pd.DataFrame) -> None:
    """Draw how many weights of each kind of layer have which magnitude."""
    for colour, (kind, rows) in zip(PALETTE, weights.groupby("layer_kind", sort=True), strict=False):
        rows = rows.sort_values("low")
        edges = [*rows["low"], rows["high"].iloc[-1]]
        axis.stairs(rows["count"].clip(lower=0.5), edges, color=colour, fill=False, linewidth=1.3, label=str(kind))
    axis.set_yscale("log")
    axis.set_ylim(bottom=0.7)
    axis.set_xlim(0, weights.loc[weights["count"] > 0, "high"].max())
    axis.set(xlabel="magnitude of the weight", ylabel="weights")
    axis.set_title("Weights of the uncompressed model", fontsize=10)
    axis.legend(frameon=False, fontsize=8)


def plot_curves(curves: pd.DataFrame, forgettability: pd.DataFrame, outputs: Sequence[Path], words: Words) -> None:
    """Draw the forgettability curves of all classes, a panel per method; a few are named and have their interval."""
    import matplotlib.pyplot as plt

    methods = list(dict.fromkeys(curves["method"]))
    size = (4.9 * len(methods), 4.6)
    with figure_style():
        figure, panels = plt.subplots(1, len(methods), figsize=size, squeeze=False, sharey=True)
        figure.subplots_adjust(wspace=0.55)
        for panel, method in zip(panels[0], methods, strict=True):
            own = curves[(curves["method"] == method) & (curves["metric"] == "auprc_change")]
            draw_curves(panel, own, forgettability[forgettability["method"] == method], words)
            panel.set_title(words.method(method), fontsize=11)
        panels[0, 0].set_ylabel("relative change of average precision")
        groups_legend(panels[0, 0], forgettability)
        caption(figure, curves_caption(curves, forgettability), bool(curves["simulated"].any()))
        save_figure(figure, *outputs)


def draw_curves(axis: "Axes", curves: pd.DataFrame, forgettability: pd.DataFrame, words: Words) -> None:
    """Draw the curves of one method by the group of their class; dotted where few test images show the class."""
    chosen = highlighted(forgettability)
    about = forgettability.set_index("class")
    ends: dict[str, tuple[float, float]] = {}
    for name, rows in curves.groupby("class", sort=False):
        rows = rows.sort_values("sparsity")
        colour, few = GROUPS[about["group"][name]], about["n_positive"][name] < FEW
        style: dict[str, Any] = {"linewidth": 0.9, "alpha": 0.45, "zorder": 2}
        if name in chosen:
            style = {"linewidth": 2.0, "zorder": 3}
            axis.fill_between(rows["sparsity"], rows["low"], rows["high"], color=colour, alpha=0.12, linewidth=0)
            ends[str(name)] = float(rows["sparsity"].iloc[-1]), float(rows["value"].iloc[-1])
        axis.plot(rows["sparsity"], rows["value"], color=colour, linestyle=":" if few else "-", **style)
    axis.set_ylim(-1.05, HIGHEST)
    axis.axhline(0, color="black", linewidth=0.8, zorder=1)
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    compression_axis(axis, words)
    _name_ends(axis, ends, about)


def highlighted(forgettability: pd.DataFrame) -> list[str]:
    """Return the least and the most forgotten class, the most and the least frequent one, each once.

    Among classes that enough test images show, where there are such.
    """
    valued = forgettability[forgettability["final_change"].notna()]
    enough = valued[valued["n_positive"] >= FEW]
    rows = (enough if len(enough) >= 2 else valued).sort_values("class")
    if rows.empty:
        return []
    rows = rows.set_index("class")
    counts, changes = rows["train_count"], rows["final_change"]
    chosen = counts.idxmax(), counts.idxmin(), changes.idxmax(), changes.idxmin()
    return list(dict.fromkeys(map(str, chosen)))


def groups_legend(axis: "Axes", forgettability: pd.DataFrame) -> None:
    """Say which colour is which group of the long tail, and how many classes it has."""
    classes = forgettability.drop_duplicates("class")
    for group, colour in GROUPS.items():
        count = int((classes["group"] == group).sum())
        if count:
            axis.plot([], [], color=colour, label=f"{group} ({count} class{'es' if count > 1 else ''})")
    if (classes["n_positive"] < FEW).any():
        axis.plot([], [], color="0.4", linestyle=":", label=f"under {FEW} positive test images")
    axis.legend(loc="lower left", frameon=False, fontsize=8)


def compression_axis(axis: "Axes", words: Words) -> None:
    """Label the axis of compression in per cent."""
    axis.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    axis.set_xlabel(f"{words.axis} (%)")


def overall_caption(metrics: pd.DataFrame) -> str:
    """Return whose mean it is, over how many seeds, and what the bands are."""
    return (
        f"{people(metrics)}; lines: median over {seeds(metrics)} of the mean over classes. {INTERVALS.format('Bands')} "
        "Drawn with replacement, few positives count twice, which lifts average precision: bands may lie above lines. "
        "Marks: the lowest level at which the mean over classes differs from that without compression."
    )


def curves_caption(curves: pd.DataFrame, forgettability: pd.DataFrame) -> str:
    """Return whose curves they are, how many have none, and what the bands are."""
    lost = forgettability.loc[forgettability["final_change"].isna(), "class"].drop_duplicates()
    said = f"{people(curves)}; lines: median over {seeds(curves)}. {INTERVALS.format('Bands')}"
    return said + (f" No curve, for want of positive test images: {', '.join(lost)}." if len(lost) else "")


INTERVALS = "{}: 95 % bootstrap intervals over patients and seeds."


def people(table: pd.DataFrame) -> str:
    """Return on whom a table was measured."""
    return f"Test split, {int(table['n_patients'].max()):,} patients"


def seeds(table: pd.DataFrame) -> str:
    """Return over how many trained models."""
    count = int(table["n_seeds"].max())
    return f"{count} seed{'s' if count != 1 else ''}"


def _name_ends(axis: "Axes", ends: Mapping[str, tuple[float, float]], about: pd.DataFrame) -> None:
    """Write the names of classes to the right of the panel, at the height where their curves end."""
    low, high = axis.get_ylim()
    shown = [min(max(end, low), high) for _, end in ends.values()]  # a curve may end beyond the panel
    heights = spread(shown, 0.085 * (high - low))
    heights -= max(0.0, float(heights.max(initial=low) - high))
    heights += max(0.0, low - float(heights.min(initial=low)))
    right = axis.get_xlim()[1]
    for (name, (last, _)), end, height in zip(ends.items(), shown, heights, strict=True):
        colour = GROUPS[about["group"][name]]
        text = f"{name}\n({int(about['train_count'][name]):,} training images)"
        axis.annotate(
            text,
            (last, end),
            xytext=(right + 0.03 * (right - axis.get_xlim()[0]), height),
            annotation_clip=False,
            va="center",
            fontsize=7.5,
            color=colour,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 1},
        )
