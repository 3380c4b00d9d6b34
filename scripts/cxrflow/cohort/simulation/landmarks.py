"""Places in an anatomy that findings are laid out by: each lung's extent, borders and hilum, the heart's centre."""

from dataclasses import dataclass

import numpy as np

from cxrflow.cohort.simulation.anatomy import LOBES, Anatomy, Bytes, Floats

SIDES = ("left", "right")
HILUM_HEIGHT = 0.45  # of the lung's height, from the apex
SITE_STEP = 3.0  # mm
INSIDE = 200  # share of an element, of 255, that lies in a lobe where the element counts as inside it


@dataclass(frozen=True)
class Sites:
    """Elements inside one lung, SITE_STEP apart in the image plane: the places where a finding can be.

    `places` (n, 3) are millimetres along slabs, rows, columns; `lobes` (5 as in LOBES, n) shares of the element, 0 to
    255; `thickness` (n) the lung's extent along depth there; `inward` (n) millimetres inside its lateral wall.
    """

    places: Floats
    lobes: Bytes
    thickness: Floats
    inward: Floats


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
    sites: Sites


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
    ends = (float(rows[0]), float(rows[-1]), float(slabs[-1]), float(slabs[0]))
    return Lung(share, thickness, outward, *ends, wall, hilum, _sites(anatomy, side, wall, thickness))


def _sites(anatomy: Anatomy, side: str, wall: Floats, thickness: Floats) -> Sites:
    """List the sites of a lung by slab, row and column."""
    steps = [1, *(max(round(SITE_STEP / length), 1) for length in anatomy.spacing[1:])]
    coarse = anatomy.lobes[:, :, :: steps[1], :: steps[2]]
    members = [index for index, name in enumerate(LOBES) if name.startswith(side)]
    found = np.nonzero(coarse[members].sum(axis=0, dtype=np.uint16) > INSIDE)
    slab, row, column = (index * step for index, step in zip(found, steps, strict=True))
    depth, down, across = anatomy.axes()
    places = np.stack([depth[slab], down[row], across[column]], axis=1)
    inward = (wall[slab, row] - places[:, 2]) * (1 if side == "left" else -1)
    return Sites(places, coarse[:, found[0], found[1], found[2]], thickness[row, column], inward)
