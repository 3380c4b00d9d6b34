"""ROC curves of linear classifiers by initialisation, with radiologists' operating points where they are given."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.igcl.figures import HEIGHT, WIDTH
from cxrflow.igcl.transfer_runs import LINEAR
from cxrflow.label_measures import AUROC
from cxrflow.plotting import (
    caption,
    colours_by_place,
    figure_style,
    name_lowest,
    panel_columns,
    save_figure,
    seeds_note,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
GRID = np.linspace(0, 1, 201)
"""False positive rates at which the curves of several seeds are averaged."""


def shown_rows(table: pd.DataFrame, fraction: float) -> pd.DataFrame:
    """Return the rows of the classifiers that are drawn: linear where there are such, from the wanted share of labels,
    else from the largest share, else from the most shots."""
    rows = table[table["mode"] == LINEAR] if (table["mode"] == LINEAR).any() else table
    wanted = rows["fraction"] == fraction
    if not wanted.any():
        most = "fraction" if rows["fraction"].notna().any() else "shots"
        wanted = rows[most] == rows[most].max()
    return rows[wanted]


def mean_curve(outcome: NDArray, scores: Sequence[NDArray]) -> Floats:
    """Return the true positive rate at each rate of GRID, the mean over the scores (N,) of several seeds.

    Ties are drawn as slopes: the area below each seed's curve is its AUROC. Outcomes are 0 or 1, of both kinds.
    """
    return np.mean([np.interp(GRID, *roc_points(outcome, score)) for score in scores], axis=0)


def roc_points(outcome: NDArray, score: NDArray) -> tuple[Floats, Floats]:
    """Return false and true positive rates from (0, 0) to (1, 1), one point per distinct score."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
    hits = np.cumsum(outcome[order] > 0)[ends]
    misses = ends + 1 - hits
    return np.r_[0, misses / misses[-1]], np.r_[0, hits / hits[-1]]


def plot_roc(
    predictions: Mapping[str, pd.DataFrame],
    truth: pd.DataFrame,
    metrics: pd.DataFrame,
    points: Mapping[str, Floats],
    fraction: float,
    outputs: Sequence[Path],
) -> None:
    """Draw one panel per label from predictions by initialisation.

    `truth` has the test split's labels by image_id, `metrics` the areas, `points` (R, 2) the radiologists by label.
    """
    import matplotlib.pyplot as plt

    labels, shown = list(truth.columns), shown_rows(metrics, fraction)
    columns = panel_columns(len(labels))
    count = -(-len(labels) // columns)
    with figure_style():
        figure, axes = plt.subplots(
            count, columns, figsize=(WIDTH, 1.2 * HEIGHT * count), sharex=True, sharey=True, squeeze=False,
            layout="constrained",
        )  # fmt: skip
        for axis, label in zip(axes.flat, labels, strict=False):
            areas = shown[(shown["label"] == label) & (shown["metric"] == AUROC)].set_index("initialisation")
            for name, colour in colours_by_place(list(predictions)).items():
                if name in areas.index:
                    curve = _curve(shown_rows(predictions[name], fraction), truth[label])
                    axis.plot(GRID, curve, color=colour, linewidth=1.5, label=_named(name, areas.loc[[name]].iloc[0]))
            _finish(axis, label, points.get(label))
        for axis in axes.flat[len(labels) :]:
            axis.set_axis_off()
        name_lowest(axes, "false positive rate")
        caption(figure, roc_caption(shown, points), bool(metrics["simulated"].any()))
        save_figure(figure, *outputs)


def roc_caption(shown: pd.DataFrame, points: Mapping[str, Floats]) -> str:
    """Return on whom, from how many labels, over how many seeds, and what the numbers and triangles are."""
    if shown.empty:
        return "No label of the test split has both outcomes."
    first = shown.iloc[0]
    share = f"{100 * first['fraction']:g} % of the patients" if pd.notna(first["fraction"]) else "few shots"
    what = "linear" if first["mode"] == LINEAR else "fine-tuned"
    said = (
        f"Test split, {int(first['n_patients']):,} patients; {what} classifiers that learn from {share} of the train "
        f"split; {seeds_note(shown['n_seeds'])} at each false positive rate; in the legend: mean AUROC with "
        "its 95 % bootstrap interval over patients."
    )
    return said + (" Triangles: radiologists." if points else "")


def _curve(rows: pd.DataFrame, truth: pd.Series) -> Floats:
    known = truth.dropna()
    tested = rows[rows["split"] == "test"]
    scores = [own.set_index("image_id")[truth.name].loc[known.index] for _, own in tested.groupby("seed")]
    return mean_curve(known.to_numpy(), [score.to_numpy() for score in scores])


def _named(name: str, area: pd.Series) -> str:
    interval = f" [{area['low']:.2f}, {area['high']:.2f}]" if pd.notna(area["low"]) else ""
    return f"{name} {area['value']:.2f}{interval}"


def _finish(axis: "Axes", label: str, points: Floats | None) -> None:
    if points is not None:
        axis.scatter(points[:, 0], points[:, 1], marker="^", color="black", s=28, zorder=3, label="radiologists")
    axis.plot([0, 1], [0, 1], color="0.35", linestyle=":", linewidth=1.2)
    axis.set_title(label, fontsize=10)
    axis.set_ylabel("true positive rate")
    axis.label_outer()
    axis.set_aspect("equal")
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="lower right", fontsize=7.5)
