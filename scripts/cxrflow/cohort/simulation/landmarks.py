"""Places in an anatomy that findings are laid out by: each lung's extent, borders and hilum, the heart's centre."""

from dataclasses import dataclass

import numpy as np

from cxrflow.cohort.simulation.anatomy import Anatomy, Floats

SIDES = ("left", "right")
HILUM_HEIGHT = 0.45  # of the lung's height, from the apex


@dataclass(frozen=True)
class Lung:
    """One lung; all positions in millimetres from the central ray (see `Anatomy.axes`).

    `share` is the lung's share of each element (slabs, rows, columns), 0 to 1; `thickness` (rows, columns) its extent
    along depth. `outward` is +1 for the patient's left lung and -1 for the right one: the direction from the
    mediastinum to the lateral wall along columns. `wall` (slabs, rows) is the lateral border, NaN where the slab holds
    no lung in that row.
    """

    share: Floats
    thickness: Floats
    outward: int
    apex: float
    base: float
    front: float
    back: float
    wall: Floats
    hilum: tuple[float, float, float]


@dataclass(frozen=True)
class Landmarks:
    """What findings and deformation need to know of an anatomy."""

    lungs: dict[str, Lung]
    heart: tuple[float, float, float]
    heart_radius: tuple[float, float]


def find_landmarks(anatomy: Anatomy) -> Landmarks:
    """Measure an anatomy: its lungs and the centre and half width, half height of its heart."""
    depth, down, across = anatomy.axes()
    heart = anatomy.heart > 127
    edges = [
        axis[np.flatnonzero(heart.any(axis=other))][[0, -1]]
        for axis, other in ((depth, (1, 2)), (down, (0, 2)), (across, (0, 1)))
    ]
    middle = tuple(float(edge.mean()) for edge in edges)
    radius = (float(np.ptp(edges[2])) / 2, float(np.ptp(edges[1])) / 2)
    lungs = {side: _lung(anatomy, side) for side in SIDES}
    return Landmarks(lungs, (middle[0], middle[1], middle[2]), radius)


def _lung(anatomy: Anatomy, side: str) -> Lung:
    depth, down, across = anatomy.axes()
    outward = 1 if side == "left" else -1
    share = anatomy.side(side)
    inside = share > 0.5
    rows = down[np.flatnonzero(inside.any(axis=(0, 2)))]
    slabs = depth[np.flatnonzero(inside.any(axis=(1, 2)))]
    lateral = np.where(inside, across * outward, -np.inf).max(axis=2) * outward
    wall = np.where(np.isfinite(lateral), lateral, np.nan).astype(np.float32)
    height = float(rows[0] + HILUM_HEIGHT * (rows[-1] - rows[0]))
    row, slab = int(np.abs(down - height).argmin()), int(np.abs(depth - slabs.mean()).argmin())
    medial = (across[inside[slab, row]] * outward).min() * outward
    hilum = (float(depth[slab]), height, float(medial) + outward * 12)
    thickness = share.sum(axis=0) * np.float32(anatomy.spacing[0])
    return Lung(
        share, thickness, outward, float(rows[0]), float(rows[-1]), float(slabs[-1]), float(slabs[0]), wall, hilum
    )
