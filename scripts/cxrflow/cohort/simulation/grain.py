"""How fine an anatomy is, by the size of the images made from it.

An element is 1.2 pixels wide at each of the sizes named here, so what an image can show does not depend on its size,
and a small image costs little. Rows are interpolated between slices of 2.5 mm, whose detail two rows each hold.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Grain:
    """Elements of an anatomy: `columns[0]` of them for every `columns[1]` voxels across, `rows` for every slice."""

    columns: tuple[int, int]
    rows: int


# Size of the images in pixels -> elements of 1.41 x 1.25, 0.94 x 1.25 and 0.70 x 0.83 mm.
GRAINS = {256: Grain((1, 2), 2), 384: Grain((3, 4), 2), 512: Grain((1, 1), 3)}


VOLUME = "volume_"
"""Begins the names of chests that CT slices are cut from."""
# Size of CT slices in pixels -> voxels that are made one, across and in depth: 1.41 or 0.70 mm.
VOXELS = {256: 2, 512: 1}


def chest_name(anatomy: str, size: int, slices: bool = False) -> str:
    """Name the chest for images of `size` pixels, radiographs or CT `slices`: the phantom has one grain, the scan
    ('ct') that of the next larger size of `GRAINS` or `VOXELS`, or of the largest."""
    begin = VOLUME if slices else ""
    if anatomy == "phantom":
        return begin + anatomy
    sizes = VOXELS if slices else GRAINS
    return f"{begin}{anatomy}_{min((key for key in sizes if key >= size), default=max(sizes))}"
