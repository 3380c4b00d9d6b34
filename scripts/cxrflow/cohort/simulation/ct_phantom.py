"""A body of ellipsoids in Hounsfield units: CT slices without a scan, for tests and the small end-to-end run."""

import numpy as np
from numpy.typing import NDArray

from cxrflow.cohort.labels import LESION_TYPES
from cxrflow.cohort.simulation.ct_volume import OTHER, CtVolume, with_places

SPACING = (5.0, 4.0, 4.0)
SHAPE = (60, 80, 96)
AIR, FAT = -1000, -90
_CODE = {name: number for number, name in enumerate(LESION_TYPES, start=1)}
# Tissue, HU, centre and half axes (mm; towards the feet, the back, the patient's left); later ones lie on top.
_ORGANS: tuple[tuple[int, int, tuple[float, float, float], tuple[float, float, float]], ...] = (
    (_CODE["soft tissue"], FAT, (0, 0, 0), (400, 120, 165)),
    (_CODE["abdomen"], 20, (100, 0, 0), (130, 85, 130)),
    (_CODE["lung"], -850, (-60, 5, -65), (115, 85, 52)),
    (_CODE["lung"], -850, (-60, 5, 65), (115, 85, 52)),
    (_CODE["mediastinum"], 10, (-70, 0, 0), (90, 60, 26)),
    (OTHER, 150, (-30, -30, 18), (45, 40, 45)),
    (_CODE["liver"], 100, (75, -5, -65), (55, 70, 60)),
    (_CODE["kidney"], 160, (105, 45, -55), (40, 26, 26)),
    (_CODE["kidney"], 160, (105, 45, 55), (40, 26, 26)),
    (_CODE["bone"], 250, (0, 75, 0), (400, 22, 22)),
)


def phantom_volume() -> CtVolume:
    """Return trunk, lungs, mediastinum, heart, liver, kidneys, abdomen and spine: every type but the pelvis."""
    axes = [(np.arange(count) - (count - 1) / 2) * step for count, step in zip(SHAPE, SPACING, strict=True)]
    mesh = np.meshgrid(*axes, indexing="ij", sparse=True)
    hounsfield = np.full(SHAPE, AIR, dtype=np.int16)
    tissue = np.zeros(SHAPE, dtype=np.uint8)
    for kind, value, centre, half in _ORGANS:
        inside = _inside(mesh, centre, half)
        hounsfield[inside], tissue[inside] = value, kind
    return with_places(hounsfield, tissue, SPACING)


def _inside(
    mesh: list[NDArray[np.float64]], centre: tuple[float, float, float], half: tuple[float, float, float]
) -> NDArray[np.bool_]:
    squares = [((axis - at) / reach) ** 2 for axis, at, reach in zip(mesh, centre, half, strict=True)]
    return np.asarray(squares[0] + squares[1] + squares[2] < 1)
