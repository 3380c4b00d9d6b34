"""The body that CT slices are cut from: Hounsfield units, what kind of tissue each voxel is, where lesions may lie."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cxrflow.cohort.labels import LESION_TYPES
from cxrflow.files import write_arrays

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Spacing = tuple[float, float, float]

OTHER = len(LESION_TYPES) + 1
"""Tissue that no lesion replaces: heart, great vessels, airways, cartilage."""
LEAST_ROOM = 3.0  # mm between a lesion's centre and other tissue
MARGIN = 22.5  # mm from either end of the volume: the context of a key slice reaches 20 mm
MOST_PLACES = 4000


@dataclass(frozen=True)
class CtVolume:
    """A body as voxels: slices from head to feet, rows from front to back, columns from the patient's right to left.

    `hounsfield` (slices, rows, columns) int16; `tissue`, of the same shape, is 0 outside of the body, else 1 to 8 as
    Coarse_lesion_type counts (the place that a lesion there would have), or OTHER. `places` (N, 5) are the centres that
    lesions may have: type, slice, row, column, and millimetres to the nearest other tissue. `spacing` in millimetres.
    """

    hounsfield: NDArray[np.int16]
    tissue: Bytes
    places: Floats
    spacing: Spacing

    @property
    def types(self) -> tuple[str, ...]:
        """Lesion types that have a place in this body, in their published order."""
        found = set(self.places[:, 0].astype(int))
        return tuple(name for code, name in enumerate(LESION_TYPES, start=1) if code in found)

    def millimetres(self) -> tuple[float, float, float]:
        """Extent of the body along slices, rows and columns."""
        slices, rows, columns = (count * step for count, step in zip(self.tissue.shape, self.spacing, strict=True))
        return slices, rows, columns


def with_places(hounsfield: NDArray[np.int16], tissue: Bytes, spacing: Spacing) -> CtVolume:
    """Return the volume with the places for lesions of each type, evenly thinned out to MOST_PLACES."""
    parts = [_places(tissue == code, code, spacing) for code in range(1, OTHER)]
    return CtVolume(hounsfield, tissue, np.concatenate(parts), spacing)


def _places(inside: NDArray[np.bool_], code: int, spacing: Spacing) -> Floats:
    """Return the places (N, 5) in one kind of tissue, looked for at every second row and column."""
    coarse = inside[:, ::2, ::2]
    if not coarse.any():
        return np.zeros((0, 5), dtype=np.float32)
    window = tuple(
        slice(max(part.start - 1, 0), part.stop + 1) for part in ndimage.find_objects(coarse.astype(np.uint8))[0]
    )
    steps = (spacing[0], 2 * spacing[1], 2 * spacing[2])
    room = np.asarray(ndimage.distance_transform_edt(coarse[window], sampling=steps))
    found = np.argwhere(room >= LEAST_ROOM)
    at = found + [part.start for part in window]
    margin = MARGIN / spacing[0]
    within = (at[:, 0] >= margin) & (at[:, 0] <= inside.shape[0] - 1 - margin)
    at, rooms = at[within] * (1, 2, 2), room[tuple(found[within].T)]
    kept = np.unique(np.linspace(0, len(at) - 1, min(MOST_PLACES, len(at))).astype(int))
    table = np.column_stack([np.full(len(at), code), at, rooms])[kept]
    return table.astype(np.float32)


def save_volume(volume: CtVolume, path: Path) -> None:
    """Write the volume as one npz; equal volumes give equal bytes."""
    arrays = {name: getattr(volume, name) for name in ("hounsfield", "tissue", "places")}
    write_arrays(path, [*arrays.items(), ("spacing", np.array(volume.spacing, dtype=np.float64))])


def load_volume(path: Path) -> CtVolume:
    """Read what `save_volume` wrote; the archive's own checksums tell a damaged file."""
    with np.load(path, allow_pickle=False) as stored:
        slices, rows, columns = stored["spacing"].tolist()
        return CtVolume(stored["hounsfield"], stored["tissue"], stored["places"], (slices, rows, columns))
