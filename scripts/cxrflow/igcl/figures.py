"""What pretraining is worth: AUROC against the share of labels that classifiers learn from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from numpy.typing import NDArray

from cxrflow.igcl.transfer_runs import FINETUNING, LINEAR
from cxrflow.igcl.transfer_settings import NO_FINDING
from cxrflow.label_measures import AUROC
from cxrflow.measured import MEAN
from cxrflow.plotting import (
    caption,
    colours_by_place,
    error_bars,
    figure_style,
    name_lowest,
    panel_columns,
    save_figure,
    seeds_note,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 11.1, 3.0  # inches of a figure, and of a row of panels
MODES = {LINEAR: ("linear evaluation", "-", "o", 1.0), FINETUNING: ("full fine-tuning", "--", "s", 1.5)}
"""Modes: name, line, marker, and the factor by which they stand to the right."""
BESIDE = 1.06  # factor between the places of two initialisations
SHOTS_GAP = 6.0  # factor between the smallest share and the few-shot places to its left


def plot_label_fractions(metrics: pd.DataFrame, uses_backbone: bool, outputs: Sequence[Path]) -> None:
    """Draw one panel per label, and one of their mean, from the table `metrics`: AUROC over the share of patients.

    Few-shot results stand to the left of all shares. `uses_backbone` says whether some encoder comes from it.
    """
    import matplotlib.pyplot as plt

    rows = metrics[(metrics["metric"] == AUROC) & metrics["value"].notna()]
    labels = sorted(set(rows["label"]), key=lambda label: (label != MEAN, label))
    columns = panel_columns(max(1, len(labels)))
    count = -(-max(1, len(labels)) // columns)
    with figure_style():
        figure, axes = plt.subplots(
            count, columns, figsize=(WIDTH, HEIGHT * count), sharex=True, sharey=True, squeeze=False,
            layout="constrained",
        )  # fmt: skip
        for axis, label in zip(axes.flat, labels, strict=False):
            draw_label(axis, rows[rows["label"] == label], colours_by_place(metrics["initialisation"]))
            axis.set_title(f"mean without {NO_FINDING}" if label == MEAN else label, fontsize=10)
        for axis in axes.flat[len(labels) :]:
            axis.set_axis_off()
        _name_axes(axes, rows)
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=4, frameon=False)
        caption(figure, fractions_caption(rows, uses_backbone), bool(metrics["simulated"].any()))
        save_figure(figure, *outputs)


def draw_label(axis: "Axes", rows: pd.DataFrame, colours: dict[str, str]) -> None:
    """Draw one line with intervals per initialisation and mode, and the chance line."""
    places = _places(rows)
    for number, (name, colour) in enumerate(colours.items()):
        for mode, (what, line, marker, aside) in MODES.items():
            own = rows[(rows["initialisation"] == name) & (rows["mode"] == mode)]
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4, "elinewidth": 1}
            shift = aside * BESIDE ** (number - (len(colours) - 1) / 2)
            for part, line_of_part in ((own[own["shots"].isna()], line), (own[own["shots"].notna()], "none")):
                if len(part):
                    at = shift * places[part.index].to_numpy()
                    label = f"{name}, {what}" if line_of_part == line else None
                    axis.errorbar(
                        at,
                        part["value"],
                        yerr=error_bars(part),
                        linestyle=line_of_part,
                        linewidth=1.6,
                        label=label,
                        **style,
                    )
    axis.axhline(0.5, color="0.35", linestyle=":", linewidth=1.3)
    axis.grid(visible=False, axis="x")


def fractions_caption(rows: pd.DataFrame, uses_backbone: bool) -> str:
    """Return on whom, over how many draws of patients, and what the bars and the line are."""
    if rows.empty:
        return "No label of the test split has both outcomes."
    said = (
        f"Test split, {int(rows['n_patients'].max()):,} patients; {seeds_note(rows['n_seeds'])}, one draw of "
        "patients each, nested; bars: 95 % bootstrap intervals over test patients; dotted: chance. The epoch of "
        "each classifier is chosen on the whole validate split."
    )
    note = " The backbone, from which encoders start, has seen all labels of the train split that it was trained on."
    return said + note if uses_backbone else said


def _places(rows: pd.DataFrame) -> pd.Series:
    """Return where each row stands on the logarithmic axis of shares."""
    smallest = rows["fraction"].min() if rows["fraction"].notna().any() else 1.0
    steps = {shots: step for step, shots in enumerate(sorted(rows["shots"].dropna().unique(), reverse=True), start=1)}
    few = rows["shots"].map({shots: smallest / SHOTS_GAP**step for shots, step in steps.items()})
    return rows["fraction"].fillna(few.astype(float))


def _name_axes(axes: NDArray, rows: pd.DataFrame) -> None:
    """Label the shares in per cent, and the few-shot places with their number."""
    ticks = {}
    for place, fraction, shots in zip(_places(rows), rows["fraction"], rows["shots"], strict=True):
        ticks[place] = f"{100 * fraction:g}" if pd.isna(shots) else f"{shots:.0f} per\nlabel"
    axes[0, 0].set_xscale("log")
    axes[0, 0].set_xticks(list(ticks), labels=list(ticks.values()))
    for axis in axes.flat:
        axis.minorticks_off()
    name_lowest(axes, "patients with labels (%)")
    for axis in axes[:, 0]:
        axis.set_ylabel("AUROC")
