"""Names beside points that do not cover one another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEAR, _FAR = 5.0, 12.0  # points: the distance of a name, and that from which on a line leads to it
_DISTANCES = (_NEAR, 9.0, 15.0, 22.0, 30.0, 40.0)
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_MARKER = 3.5  # points around a point that a name must not cover
_WORSE = 5  # how much worse it is to cover a name or a point that has one than any other point
_OUTSIDE = 1e4  # how much worse it is to leave the panel than to cover a name (pixels squared)
Boxes = NDArray[np.float64]
Points = Sequence[tuple[float, float]]


def name_points(axis: "Axes", places: Points, names: Sequence[str], others: Points = (), fontsize: float = 7.5) -> None:
    """Write each name beside its point where it covers least: names, these and other points, the panel's edge.

    The figure must have been laid out (`draw_without_rendering`), with its final limits and scales. The order of the
    names decides who chooses first.
    """
    from matplotlib.patheffects import withStroke

    scale = axis.figure.dpi / 72
    panel = axis.get_window_extent()
    pixels, crowd = (axis.transData.transform(np.reshape(points, (-1, 2))) for points in (places, others))
    crowd = np.vstack([crowd, *[pixels] * _WORSE])
    taken = np.hstack([crowd - _MARKER * scale, crowd + _MARKER * scale])
    for point, place, name in zip(pixels, places, names, strict=True):
        width, height = _size(axis, name, fontsize)
        options = _options(point, width, height, scale)
        cost = covered(options, taken) + _OUTSIDE * _beyond(options, np.r_[panel.p0, panel.p1])
        best = int(np.argmin(cost))
        taken = np.vstack([taken, *[options[best]] * _WORSE])
        centre = (options[best, :2] + options[best, 2:]) / 2
        far = _DISTANCES[best // len(_DIRECTIONS)] >= _FAR
        axis.annotate(
            name,
            place,
            xytext=tuple((centre - point) / scale),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=fontsize,
            color="0.15",
            path_effects=[withStroke(linewidth=2, foreground="white", alpha=0.8)],
            zorder=5,
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.6, "shrinkB": 3} if far else None,
        )


def spread(values: Sequence[float], gap: float) -> NDArray[np.float64]:
    """Return the values moved apart as little as it takes for neighbours to differ by `gap`; NaN is not for this."""
    order = np.argsort(values, kind="stable")
    blocks: list[tuple[float, int]] = []  # middle and size of runs of values that touch
    for value in np.asarray(values, dtype=float)[order]:
        blocks.append((float(value), 1))
        while len(blocks) > 1 and blocks[-1][0] - blocks[-2][0] < gap * (blocks[-1][1] + blocks[-2][1]) / 2:
            (low, few), (high, many) = blocks[-2:]
            blocks[-2:] = [((low * few + high * many) / (few + many), few + many)]
    moved = np.empty(len(order))
    moved[order] = [middle + gap * (place - (n - 1) / 2) for middle, n in blocks for place in range(n)]
    return moved


def covered(boxes: Boxes, others: Boxes) -> NDArray[np.float64]:
    """Return how much area of the others each box (n, [x0, y0, x1, y1]) covers."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.clip(high - low, 0, None).prod(axis=2).sum(axis=1)


def _options(point: NDArray, width: float, height: float, scale: float) -> Boxes:
    """Return the boxes that a name could take: near ones first, and beside the point before above it."""
    boxes, half = [], np.array([width, height]) / 2
    for distance in _DISTANCES:
        for right, up in _DIRECTIONS:
            shift = distance * scale / (np.sqrt(2) if right and up else 1)
            centre = point + np.array([right, up]) * (shift + half)
            boxes.append(np.concatenate([centre - half, centre + half]))
    return np.array(boxes)


def _beyond(boxes: Boxes, panel: NDArray) -> NDArray[np.float64]:
    """Return how far each box reaches out of the panel in pixels."""
    return np.clip(np.c_[panel[:2] - boxes[:, :2], boxes[:, 2:] - panel[2:]], 0, None).sum(axis=1)


def _size(axis: "Axes", name: str, fontsize: float) -> tuple[float, float]:
    text = axis.text(0, 0, name, fontsize=fontsize)
    box = text.get_window_extent()
    text.remove()
    return box.width, box.height
