"""Radiographs in rows of panels: an example per finding, heat and boxes drawn on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.plotting import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = 6
PANEL = 2.15  # inches


@dataclass(frozen=True)
class Panel:
    """One picture of a row: its title, the image below, and how strongly heat colours each pixel (0 to 1)."""

    title: str
    image: NDArray[np.uint8]
    heat: NDArray[np.float32] | None = None


def typical_rows(covers: pd.DataFrame, values: Sequence[float]) -> pd.DataFrame:
    """Return the rows of `covers` (boxes.finding_covers, any index) that stand for the commonest six findings.

    A finding's row is the one whose value (n,) is its median (the upper of two), neither the best nor the worst;
    findings are in order of frequency.
    """
    ranked = covers.assign(value=values).sort_values(["finding", "value", "position"])
    common = ranked["finding"].value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    middle = {finding: group.index[len(group) // 2] for finding, group in ranked.groupby("finding")}
    return covers.loc[[middle[finding] for finding in common.index[:ROWS]]]


def panel_canvas(rows: int, columns: int, room: float = 0.0, size: float = PANEL) -> "tuple[Figure, NDArray]":
    """Return a figure and its square panels (rows, columns) of `size` inches, with `room` inches below each row."""
    import matplotlib.pyplot as plt

    height = max(1, rows) * (size + 0.3 + room)
    figure, grid = plt.subplots(max(1, rows), columns, figsize=(size * columns, height), squeeze=False)
    gap = (0.3 + room) / size
    figure.subplots_adjust(left=0, right=1, top=1 - 0.25 / height, bottom=room / height, wspace=0.03, hspace=gap)
    for axis in grid.flat:
        axis.set_axis_off()
    return figure, grid


def draw_row(row: NDArray, panels: Sequence[Panel]) -> None:
    """Draw pictures into the panels of a row."""
    for axis, panel in zip(row, panels, strict=True):
        axis.imshow(panel.image, cmap="gray", vmin=0, vmax=255)
        axis.set_title(panel.title, fontsize=8.5)
        if panel.heat is not None:
            axis.imshow(panel.heat, cmap="autumn", vmin=0, vmax=1, alpha=0.75 * panel.heat)


def enlarged(patches: NDArray, side: int) -> NDArray:
    """Return an image of `side` pixels in which every patch (M,) of a square grid is a square of its own value."""
    grid = round(len(patches) ** 0.5)
    size = side // grid
    return np.kron(patches.reshape(grid, grid), np.ones((size, size), dtype=patches.dtype))


def draw_boxes(axis: "Axes", sample: pd.Series, finding: str, side: int, width: float) -> None:
    """Outline the boxes of a finding (pixels of the source) on an image of `side` pixels."""
    from matplotlib.patches import Rectangle

    across, down = side / sample["width"], side / sample["height"]
    for box in sample["boxes"]:
        if box["label"] == finding:
            place, size = (box["x"] * across, box["y"] * down), (box["w"] * across, box["h"] * down)
            axis.add_patch(Rectangle(place, *size, fill=False, edgecolor=PALETTE[1], linewidth=width))
