"""The result in one picture: classification against the share of patches that is kept, and the control below it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cxrflow.plotting import PALETTE, caption, figure_style, panel_columns, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXTS = {
    "reference": ("the radiologist's report", PALETTE[0]),
    "masked": ("the radiologist's, findings hidden", PALETTE[9]),
    "generated": ("the model's own report", PALETTE[2]),
    "generated_masked": ("the model's own, findings hidden", PALETTE[8]),
}
"""The text settings: what a reader is told of them, and their colour in every panel."""

OTHERS = {
    "norm": ("the norm of their features", "0.3", "s"),
    "centre": ("nearness to the centre", "0.5", "^"),
    "random": ("chance", "0.68", "D"),
}
"""Selectors without a text: name, grey and marker."""

MAIN = ("reference", "generated")
"""The text settings drawn with bands and fused graphs: the upper bound, and what can be had without a radiologist."""

REPORT_ALONE = 1.0
"""Where no patch at all stands on the logarithmic axis of kept shares: the report alone."""

TICK_RATIO = 1.4  # between kept shares that both have room for a label

GROUPS = {
    "-": "patches by attention, guided by",
    "--": "the same, joined by that report",
    ":": "as many patches, chosen by",
    "-.": "all patches",
}
"""What the legend says of each line style."""

CONTROLS = {"fused": ("o", "patches + report"), "text": ("^", "report alone")}
WIDTH, HEIGHT, CONTROL_HEIGHT = 11.1, 2.6, 2.0  # of the figure and of its panels, in inches
LEGEND_LINE = 0.2  # inches
FEWEST = 10  # positive images that a panel needs: a curve of fewer is noise


def plot_auc(table: pd.DataFrame, outputs: Sequence[Path]) -> None:
    """Draw one panel per target from `metrics.csv` (AUROC over the kept share), and one of permuted labels."""
    table, left_out = well_measured(table)
    aurocs = table[(table["metric"] == "auroc") & table["value"].notna()]
    measured, control = (aurocs[aurocs["labels"] == labels] for labels in ("true", "permuted"))
    with figure_style():
        figure, panels, below = _canvas(measured["target"].nunique(), len(control) > 0)
        for panel, (target, rows) in zip(panels, measured.groupby("target", sort=True), strict=False):
            draw_target(panel, rows, str(target))
        _finish(panels, measured.loc[measured["kept_percent"] > 0, "kept_percent"].tolist())
        _legend(figure, panels[0])
        if below is not None:
            draw_control(below, control)
        caption(figure, auc_caption(table) + left_out, bool(table["simulated"].any()))
        save_figure(figure, *outputs)


def well_measured(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the targets with enough positive images for a curve, and a sentence about the others (in the table only).

    Where no target has enough all are returned.
    """
    counts = table.loc[table["labels"] == "true"].groupby("target")["n_positive"].max()
    few = counts[counts < FEWEST]
    if few.empty or len(few) == len(counts):
        return table, ""
    names = ", ".join(f"{target} ({count})" for target, count in few.items())
    return table[~table["target"].isin(few.index)], f" Left out, with under {FEWEST} positive images: {names}."


def draw_target(axis: "Axes", rows: pd.DataFrame, target: str) -> None:
    """Draw one target: solid lines for patches that attention chose, dashed ones where the report joins them."""
    for value in rows.loc[(rows["input"] == "image") & (rows["selector"] == "all"), "value"]:
        axis.axhline(value, color="black", linestyle="-.", linewidth=1, label="the whole radiograph")
    for selector, (name, grey, marker) in OTHERS.items():
        line = series(rows, "image", selector, "none")
        _draw(axis, line, name, color=grey, marker=marker, markersize=3.2, linestyle=":", linewidth=1.2)
    for text in MAIN:
        name, color = TEXTS[text]
        line = series(rows, "fused", "attention", text)
        _draw(axis, line, name, color=color, marker=".", markersize=3, linestyle="--", linewidth=0.9)
    for text, (name, color) in TEXTS.items():
        line = series(rows, "image", "attention", text)
        if text in MAIN:
            axis.fill_between(line["kept_percent"], line["low"], line["high"], color=color, alpha=0.13, linewidth=0)
        _draw(axis, line, name, color=color, marker="o", markersize=4, linewidth=1.8)
    axis.set_title(f"{target} ({int(rows['n_positive'].max())} positive)", fontsize=10)


def series(rows: pd.DataFrame, source: str, selector: str, text: str) -> pd.DataFrame:
    """Return one line's points by kept share: pruned graphs, the whole graph, and the report alone where it is fused.

    Empty where the selector was not run in this text setting.
    """
    chosen = (rows["input"] == source) & (rows["selector"] == selector) & (rows["text"] == text)
    if not chosen.any():
        return rows[chosen]
    whose = text if source == "fused" else "none"
    chosen |= (rows["input"] == source) & (rows["selector"] == "all") & (rows["text"] == whose)
    if source == "fused":
        chosen |= (rows["input"] == "text") & (rows["text"] == text)
    line = rows[chosen].sort_values("kept_percent")
    return line.assign(kept_percent=line["kept_percent"].where(line["input"] != "text", REPORT_ALONE))


def draw_control(axis: "Axes", rows: pd.DataFrame) -> None:
    """Draw AUROC with intervals of classifiers of permuted labels, by target, text (colour) and input (marker)."""
    targets = sorted(rows["target"].unique())
    kinds = [(text, source) for text in TEXTS for source in CONTROLS if len(_control(rows, text, source))]
    offsets = np.linspace(-0.32, 0.32, len(kinds)) if len(kinds) > 1 else np.zeros(len(kinds))
    axis.axhline(0.5, color="black", linewidth=1)
    for (text, source), offset in zip(kinds, offsets, strict=True):
        part = _control(rows, text, source)
        places = [targets.index(target) + offset for target in part["target"]]
        spans = [part["value"] - part["low"], part["high"] - part["value"]]
        style: dict[str, Any] = {"color": TEXTS[text][1], "marker": CONTROLS[source][0], "linestyle": "none"}
        axis.errorbar(places, part["value"], yerr=spans, markersize=4, elinewidth=1, **style)
    for source in {source: None for _, source in kinds}:
        marker, name = CONTROLS[source]
        axis.plot([], [], color="0.3", marker=marker, markersize=4, linestyle="none", label=name)
    axis.set_xticks(range(len(targets)), labels=targets)
    axis.grid(visible=False, axis="x")
    axis.set_ylim(*_around_chance(rows))
    axis.set_ylabel("AUROC")
    axis.set_title("Control: labels permuted among patients (chance, 0.5, is expected)", fontsize=10)
    axis.legend(loc="upper right", ncols=2, frameon=False, fontsize=8, borderaxespad=0.1)


def auc_caption(table: pd.DataFrame) -> str:
    """Return what the figure must say: patients, seeds, the interval, and which lines are upper bounds."""
    patients, seeds = int(table["n_patients"].max()), int(table["n_seeds"].max())
    said = (
        f"Test split, {patients} patients; mean of {seeds} seed{'s' if seeds != 1 else ''}; bands and bars: 95 % "
        "bootstrap intervals over patients."
    )
    if table["text"].isin(["reference", "masked"]).any():
        said += (
            " What uses the radiologist's report (the reference), with its findings hidden or not, is an upper bound: "
            "its writer has seen the image, and the labels come from its words."
        )
    return said


def _canvas(targets: int, control: bool) -> tuple["Figure", list["Axes"], "Axes | None"]:
    """Return a figure, a panel per target, and a wide one below for the control."""
    import matplotlib.pyplot as plt

    columns = panel_columns(max(1, targets))
    rows = -(-max(1, targets) // columns)
    heights = [HEIGHT] * rows + [CONTROL_HEIGHT] * control
    figure = plt.figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    panels: list[Axes] = []
    for place in range(max(1, targets)):
        shared = panels[0] if panels else None
        panels.append(figure.add_subplot(grid[place // columns, place % columns], sharex=shared, sharey=shared))
    return figure, panels, figure.add_subplot(grid[-1, :]) if control else None


def _draw(axis: "Axes", line: pd.DataFrame, name: str, **style: Any) -> None:
    if len(line):
        axis.plot(line["kept_percent"], line["value"], label=name, **style)


def _control(rows: pd.DataFrame, text: str, source: str) -> pd.DataFrame:
    return rows[(rows["text"] == text) & (rows["input"] == source)]


def _around_chance(rows: pd.DataFrame) -> tuple[float, float]:
    """Return limits of the axis that have 0.5 in their middle and room for a legend above."""
    reach = max(0.1, float(np.nanmax(np.abs(rows[["low", "high", "value"]].to_numpy() - 0.5))))
    return 0.5 - 1.1 * reach, 0.5 + 1.5 * reach


def _finish(panels: Sequence["Axes"], shares: Sequence[float]) -> None:
    """Give the panels one axis of kept shares, with the report alone (no patches) at its left."""
    columns, edge, first = panel_columns(len(panels)), REPORT_ALONE / 1.25, min(shares, default=100.0)
    ticks = {REPORT_ALONE: "report\nalone"} | {share: f"{share:g}" for share in labelled(shares)}
    panels[0].set_xscale("log")
    panels[0].set_xlim(edge, 125)
    panels[0].set_xticks(list(ticks), labels=list(ticks.values()))
    for number, panel in enumerate(panels):
        panel.minorticks_off()
        panel.grid(visible=False, axis="x")
        panel.axvspan(edge, (REPORT_ALONE * first) ** 0.5, color="0.95", zorder=0, linewidth=0)
        panel.tick_params(labelbottom=number + columns >= len(panels), labelleft=number % columns == 0)
        if number + columns >= len(panels):
            panel.set_xlabel("patches kept (%)")
        if number % columns == 0:
            panel.set_ylabel("AUROC")


def labelled(shares: Sequence[float]) -> list[float]:
    """Return the kept shares that have room for a label on the logarithmic axis, the largest one in any case."""
    chosen: list[float] = []
    for share in sorted(set(shares), reverse=True):
        if not chosen or chosen[-1] / share >= TICK_RATIO:
            chosen.append(share)
    return chosen[::-1]


def _legend(figure: "Figure", axis: "Axes") -> None:
    """Write one column per line style above the panels, the style's meaning as its heading."""
    lines = [line for line in axis.get_lines() if not str(line.get_label()).startswith("_")]
    groups = {style: [line for line in lines if line.get_linestyle() == style] for style in GROUPS}
    shown = {style: own for style, own in groups.items() if own}
    top = 1 + LEGEND_LINE * (1.5 + max(map(len, shown.values()), default=0)) / figure.get_figheight()
    for place, (style, own) in enumerate(shown.items()):
        figure.legend(
            handles=own,
            title=GROUPS[style],
            loc="upper left",
            bbox_to_anchor=(0.05 + 0.95 * place / len(shown), top),
            frameon=False,
            fontsize=9,
            title_fontsize=9,
            alignment="left",
        )
