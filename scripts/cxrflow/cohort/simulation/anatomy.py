"""The patient before deformation: attenuation in coronal slabs, with lobes and heart.

A radiograph sums over depth, so the volume is kept fine in the image plane (rows, columns) and coarse in depth
(slabs of about one centimetre, each holding its own line integral). Warping every slab by itself keeps the parallax
between back and front of the chest at a fraction of the cost of a volume of cubes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrflow.files import write_arrays

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

LOBES = ("left upper", "left lower", "right upper", "right middle", "right lower")
_ARRAYS = ("soft", "bone", "lung", "lobes", "heart")


@dataclass(frozen=True)
class Anatomy:
    """A chest as slabs from back to front; rows from head to feet; columns from the patient's right to the left.

    `soft`, `bone` and `lung` (slabs, rows, columns) are line integrals through each slab in centimetres of water.
    `lobes` (5 as in LOBES, slabs, rows, columns) and `heart` (slabs, rows, columns) are the organ's share of each
    element, 0 to 255. `spacing` is the size of an element in millimetres (slab, row, column); `centre` is the
    element (slab, row, column) on the central ray.
    """

    soft: Floats
    bone: Floats
    lung: Floats
    lobes: Bytes
    heart: Bytes
    spacing: tuple[float, float, float]
    centre: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slabs, rows, columns."""
        slabs, rows, columns = self.soft.shape
        return slabs, rows, columns

    def side(self, side: str) -> Floats:
        """Share of one lung, 'left' or 'right' of the patient, in each element, 0 to 1."""
        members = [index for index, name in enumerate(LOBES) if name.startswith(side)]
        total = self.lobes[members].sum(axis=0, dtype=np.float32)
        return np.minimum(total / np.float32(255), np.float32(1))

    def axes(self) -> tuple[Floats, Floats, Floats]:
        """Millimetres from the central ray along slabs (front +), rows (feet +), columns (patient's left +)."""
        axes = [
            ((np.arange(count) - middle) * step).astype(np.float32)
            for count, middle, step in zip(self.shape, self.centre, self.spacing, strict=True)
        ]
        return axes[0], axes[1], axes[2]


def save_anatomy(anatomy: Anatomy, path: Path) -> None:
    """Write the anatomy as one npz; equal anatomies give equal bytes."""
    geometry = np.array([anatomy.spacing, anatomy.centre], dtype=np.float64)
    write_arrays(path, [("geometry", geometry), *((name, getattr(anatomy, name)) for name in _ARRAYS)])


def load_anatomy(path: Path) -> Anatomy:
    """Read what `save_anatomy` wrote; the archive's own checksums tell a damaged file."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in _ARRAYS}
        spacing, centre = stored["geometry"].tolist()
    return Anatomy(**arrays, spacing=tuple(spacing), centre=tuple(centre))
