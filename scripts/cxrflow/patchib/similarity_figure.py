"""A few radiographs and reports of different findings, each compared with each."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.store import ImageStore
from cxrflow.patchib.exported import Exported, reference_of
from cxrflow.patchib.master import label_order
from cxrflow.patchib.master_lines import read_master
from cxrflow.plotting import PALETTE, caption, figure_style, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAIRS = 8
CELL, LEFT, TOP = 0.62, 1.4, 1.15  # inches: a cell, and the room for names
REPORT, OVERHANG = 4.0, 0.9  # inches to the right of the matrix, with and without reports
CHARACTERS, LINES = 62, 3  # of a report beside its row
NAME = 18  # characters of a line of a name
THUMB = 1.04  # cells: the side of a radiograph beside its row, with its margin

NO_LABELS = "No radiograph of the test split has a label."


@dataclass(frozen=True)
class Matrix:
    """K pairs of the test split: their rows of the data set, the label that each was chosen for, a name with its other
    labels, and cosines (K radiographs, K reports)."""

    model: str
    rows: pd.DataFrame
    labels: list[str]
    names: list[str]
    cosines: NDArray[np.float32]

    @classmethod
    def read(cls, exports: Sequence[Exported], master: Path, manifest: Path) -> "Matrix":
        """Return what the model that others are compared with makes of the pairs chosen from the data set `master`."""
        table, labels = read_master(master), label_order(manifest)
        test = table[table["split"] == "test"]
        name = reference_of([export.model for export in exports])
        export = next(export for export in exports if export.model == name)
        images, texts = export.read("test/image/own"), export.read("test/text")
        chosen = chosen_pairs(test, (images * texts).sum(axis=1), labels)
        places = list(chosen)
        names = [pair_name(test["labels"].iloc[place], labels, first) for place, first in chosen.items()]
        return cls(name, test.iloc[places], list(chosen.values()), names, images[places] @ texts[places].T)


def chosen_pairs(test: pd.DataFrame, own: NDArray, labels: Sequence[str]) -> dict[int, str]:
    """Return the places of up to eight pairs and the label that each was chosen for, the commonest label first.

    Of the radiographs with the label those with the fewest other labels are taken; of these the one whose similarity
    to its report, `own` (N,), is the median. No patient and no report text comes twice.
    """
    truth = np.nan_to_num(np.stack(test["labels"].tolist())) > 0
    counts = truth.sum(axis=0)
    chosen: dict[int, str] = {}
    for label in np.argsort(-counts, kind="stable"):
        taken = test.iloc[list(chosen)]
        free = ~(test["subject_id"].isin(taken["subject_id"]) | test["query"].isin(taken["query"])).to_numpy()
        places = np.flatnonzero(truth[:, label] & free)
        if len(places) and len(chosen) < PAIRS:
            others = truth[places].sum(axis=1)
            fewest = places[others == others.min()]
            chosen[int(fewest[np.argsort(own[fewest], kind="stable")[len(fewest) // 2]])] = labels[label]
    return chosen


def pair_name(truth: NDArray, labels: Sequence[str], first: str) -> str:
    """Return the findings of a pair in lines: the one that it was chosen for, a second one, and how many more."""
    others = [label for label, value in zip(labels, truth, strict=True) if value > 0 and label != first]
    more = f" + {len(others) - 1}" if len(others) > 1 else ""
    return "\n".join(textwrap.fill(name, NAME) for name in (first, *others[:1])) + more


def plot_similarity(matrix: Matrix, store: ImageStore, simulated: bool, outputs: Sequence[Path]) -> None:
    """Draw the matrix with the radiograph and, where these are simulated, the report of each row beside it."""
    count = len(matrix.names)
    with figure_style():
        figure, axis = _canvas(count, simulated)
        if count:
            draw_matrix(axis, matrix)
        for place, image_id in enumerate(matrix.rows["dicom_id"]):
            draw_radiograph(axis, store.images[store.rows([image_id])[0]], place)
        for place, text in enumerate(matrix.rows["query"] if simulated else ()):
            write_report(axis, text, place, count)
        caption(figure, similarity_note(matrix, simulated) if count else NO_LABELS, simulated)
        save_figure(figure, *outputs)


def _canvas(count: int, reports: bool) -> "tuple[Figure, Axes]":
    """Return a figure and its panel of square cells, with room for names and reports."""
    import matplotlib.pyplot as plt

    wide, high = CELL * (count + THUMB), CELL * count
    width, height = LEFT + wide + (REPORT if reports else OVERHANG), high + TOP
    figure = plt.figure(figsize=(width, height))
    return figure, figure.add_axes((LEFT / width, 0, wide / width, high / height))


def draw_matrix(axis: "Axes", matrix: Matrix) -> None:
    """Draw the cosines as colours and numbers; own pairs are framed, the closest report of each radiograph is bold."""
    from matplotlib.patches import Rectangle

    cosines, count = matrix.cosines, len(matrix.names)
    axis.imshow(cosines, cmap="Blues", vmin=cosines.min(), vmax=cosines.max() + 0.5 * np.ptp(cosines))
    for (row, column), value in np.ndenumerate(cosines):
        weight = "bold" if column == cosines[row].argmax() else "normal"
        axis.text(column, row, f"{value:.2f}".replace("-", "−"), ha="center", va="center", fontsize=8, weight=weight)
    for place in range(count):
        corner = (place - 0.5, place - 0.5)
        axis.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=PALETTE[1], linewidth=2, zorder=3))
    axis.set_xlim(-0.5 - THUMB, count - 0.5)
    axis.set_xticks(range(count), labels=matrix.labels, rotation=40, ha="left", rotation_mode="anchor", fontsize=8.5)
    axis.set_yticks(range(count), labels=matrix.names, fontsize=8.5)
    axis.tick_params(top=False, labeltop=True, labelbottom=False, length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)


def draw_radiograph(axis: "Axes", image: NDArray[np.uint8], row: int) -> None:
    """Draw a radiograph to the left of its row."""
    left, limits = -0.5 - THUMB, (axis.get_xlim(), axis.get_ylim())
    axis.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(left, left + 0.96, row + 0.48, row - 0.48))
    axis.set(xlim=limits[0], ylim=limits[1])


def write_report(axis: "Axes", text: str, row: int, count: int) -> None:
    """Write the beginning of a report to the right of its row."""
    lines = textwrap.wrap(text, CHARACTERS, max_lines=LINES, placeholder=" ...")
    axis.text(count - 0.35, row, "\n".join(lines), va="center", fontsize=7.5, color="0.25")


def similarity_note(matrix: Matrix, reports: bool) -> str:
    """Return whose pairs these are, how they were chosen, and how many find each other."""
    found, count = hits(matrix.cosines), len(matrix.names)
    beside = "; at the right: the row's own" if reports else ""
    return (
        f"Model {matrix.model}, one seed: cosines of {count} radiographs (rows) and reports (columns{beside}) of as "
        "many patients of the test split, one pair for each of the commonest labels: of those with the fewest other "
        "labels the one with the median similarity. Framed: own pairs; bold: the closest report. Closest to their own "
        f"report: {found[0]} of {count} radiographs; to their own radiograph: {found[1]} of {count} reports (by "
        "chance: 1). Single examples, so no intervals."
    )


def hits(cosines: NDArray) -> tuple[int, int]:
    """Return how many rows, and how many columns, have their highest value on the diagonal alone."""
    own = np.diag(cosines)
    best = (cosines >= own[:, None]).sum(axis=1) == 1, (cosines >= own[None, :]).sum(axis=0) == 1
    return int(best[0].sum()), int(best[1].sum())
