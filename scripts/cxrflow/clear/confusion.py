"""Which labels are taken for which: confusion matrices on the test split, the mean over folds and seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.clear.downstream_settings import TaskKind
from cxrflow.clear.measures import predicted_classes, thresholds, wide
from cxrflow.clear.pictures import WIDTH, note, spoken
from cxrflow.clear.tasks import HELD_OUT, TEST
from cxrflow.plotting import figure_style, panel_columns, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT = 2.7  # inches of a row of panels
DARK = 0.6  # share of a row from which on its cell is dark


class Confusion(NamedTuple):
    """What is told (rows) and predicted (columns): names of the classes, and the mean number of bags (C, C)."""

    title: str
    names: list[str]
    counts: NDArray[np.float64]


def confusions(predictions: pd.DataFrame) -> list[Confusion]:
    """Return one matrix per label, or one of all classes, from the predictions of one encoder, aggregator and share.

    Labels are predicted from the threshold that the folds held out give (measures.thresholds); bags whose label is not
    known are left out.
    """
    kind: TaskKind = predictions["kind"].iloc[0]
    tested = predictions[predictions["split"] == TEST]
    if kind != "multi-label":
        return [_of_classes(tested, kind)]
    found: dict[str, list[NDArray]] = {}
    for seed, rows in tested.groupby("seed"):
        held_out = predictions[(predictions["split"] == HELD_OUT) & (predictions["seed"] == seed)]
        limits = thresholds(held_out)
        for (label, _), own in rows[rows["truth"].notna()].groupby(["label", "fold"], sort=False):
            predicted = own["logit"].to_numpy() >= limits[str(label)]
            found.setdefault(str(label), []).append(_counts(own["truth"].to_numpy() > 0, predicted, 2))
    return [Confusion(label, ["no", "yes"], np.mean(counts, axis=0)) for label, counts in found.items()]


def plot_confusion(predictions: pd.DataFrame, simulated: bool, outputs: Sequence[Path]) -> None:
    """Draw all matrices of one encoder, aggregator and share of labels; shades are shares of a row."""
    import matplotlib.pyplot as plt

    matrices = confusions(predictions)
    columns = panel_columns(len(matrices))
    rows = -(-len(matrices) // columns)
    with figure_style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(WIDTH * columns / 4 + 1, HEIGHT * rows), squeeze=False, layout="constrained"
        )
        for axis, matrix in zip(axes.flat, matrices, strict=False):
            _draw(axis, matrix)
        for axis in axes.flat[len(matrices) :]:
            axis.set_axis_off()
        note(figure, _caption(predictions), simulated)
        save_figure(figure, *outputs)


def _of_classes(tested: pd.DataFrame, kind: TaskKind) -> Confusion:
    labels = tested["label"].drop_duplicates().tolist()
    names = [f"below {labels[0].removeprefix('at least ')}", *labels] if kind == "ordinal" else labels
    counts = []
    for _, own in tested.groupby(["seed", "fold"]):
        truth, logits = (wide(own, value).to_numpy() for value in ("truth", "logit"))
        told = predicted_classes(np.where(truth > 0, 1.0, -1.0), kind)
        counts.append(_counts(told, predicted_classes(logits, kind), len(names)))
    return Confusion("all classes", names, np.mean(counts, axis=0))


def _counts(told: NDArray, predicted: NDArray, classes: int) -> NDArray[np.float64]:
    pairs = told.astype(int) * classes + predicted.astype(int)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.float64)


def _draw(axis: "Axes", matrix: Confusion) -> None:
    total = matrix.counts.sum(axis=1, keepdims=True)
    shares = np.divide(matrix.counts, total, out=np.zeros_like(matrix.counts), where=total > 0)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{matrix.counts[row, column]:.3g}\n{100 * share:.0f} %" if total[row, 0] else "none"
        colour = "white" if share > DARK else "0.15"
        axis.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
    places = range(len(matrix.names))
    axis.set_xticks(places, labels=matrix.names)
    axis.set_yticks(places, labels=matrix.names)
    axis.set_title(matrix.title, fontsize=10)
    axis.set_xlabel("predicted", fontsize=9)
    axis.set_ylabel("marked", fontsize=9)
    axis.grid(visible=False)


def _caption(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    return (
        f"Task {spoken(first['task'])}, encoder {first['encoder']}, {spoken(first['aggregator'])}, "
        f"{100 * first['fraction']:g} % of the labels; test split, mean number of bags over {rows['fold'].nunique()} "
        f"folds and {rows['seed'].nunique()} seeds, and share of each row."
    )
