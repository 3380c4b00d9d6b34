"""How a lesion is measured on its key slice: the two diameters of RECIST, and the box around what is seen of it."""

import numpy as np
from numpy.typing import NDArray

from cxrflow.cohort.layouts import DEEPLESION_PADDING
from cxrflow.cohort.simulation.projection import Box

ACROSS = 1.0  # pixels by which the short diameter may lean along the long one
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]


def diameters(seen: Mask) -> Doubles:
    """Return the ends (4, 2: x, y in pixels) of the longest diameter of a mask and of the longest across it."""
    rows, columns = np.nonzero(seen & ~_inner(seen))
    points = np.column_stack([columns + 0.5, rows + 0.5])
    between = points[None] - points[:, None]
    long = _longest(np.linalg.norm(between, axis=-1))
    direction = between[long] / max(float(np.linalg.norm(between[long])), 1.0)
    along = np.abs(between @ direction)
    across = np.abs(between @ np.array([-direction[1], direction[0]]))
    return points[[*long, *_longest(np.where(along <= ACROSS, across, 0))]]


def lengths(ends: Doubles) -> tuple[float, float]:
    """Return the lengths in pixels of the two diameters (4, 2)."""
    long, short = np.linalg.norm(ends[1::2] - ends[::2], axis=-1).tolist()
    return long, short


def padded_box(seen: Mask) -> Box:
    """Return the box around a mask, wider on each side by what 5 pixels of a 512 px slice are, cut at the border."""
    padding = round(DEEPLESION_PADDING * len(seen) / 512)
    edges = []
    for axis in (0, 1):
        found = np.flatnonzero(seen.any(axis=axis))
        edges.append((max(int(found[0]) - padding, 0), min(int(found[-1]) + 1 + padding, seen.shape[1 - axis])))
    (left, right), (top, bottom) = edges
    return Box(left, top, right - left, bottom - top)


def _longest(distances: Doubles) -> tuple[int, int]:
    first, last = np.unravel_index(distances.argmax(), distances.shape)
    return int(first), int(last)


def _inner(mask: Mask) -> Mask:
    """Mark what has marked pixels above, below and on both sides."""
    padded = np.pad(mask, 1)
    return padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
