"""From pixels of the image to places in the anatomy: cone beam, pose, body shape, elastic waves, heart size.

The place where a ray meets a slab is linear in the slab's depth, but for the heart, whose enlargement fades out in
front of and behind it. Three fields over the image therefore hold the sampling grids of all slabs.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from cxrflow.cohort.simulation.anatomy import Anatomy
from cxrflow.cohort.simulation.landmarks import Landmarks
from cxrflow.cohort.simulation.patient import AP, Exposure, Patient

CELL = 8  # pixels between the places where the smooth displacement is computed
FLANK = 128.0  # mm from the midline where the rib cage ends and soft tissue begins
FAR = 0.02  # nearness below which an enlarged heart moves nothing by half a millimetre

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Rays:
    """Where every pixel's ray meets every slab, in grid_sample's units (columns, rows; -1 to 1 over the anatomy).

    `base`, `linear` and `heart` have the shape (rows, columns, 2); `depth` (mm) and `nearness` (0 to 1, to the heart)
    have one value per slab.
    """

    base: torch.Tensor
    linear: torch.Tensor
    heart: torch.Tensor
    depth: tuple[float, ...]
    nearness: tuple[float, ...]

    def grid(self, slab: int, out: torch.Tensor | None = None) -> torch.Tensor:
        """Return the sampling grid of one slab (rows, columns, 2), in `out` where that is given."""
        grid = torch.add(self.base, self.linear, alpha=self.depth[slab], out=out)
        if self.nearness[slab] > FAR:
            grid.add_(self.heart, alpha=self.nearness[slab])
        return grid

    def window(self, rows: slice, columns: slice, scale: torch.Tensor, shift: torch.Tensor) -> "Rays":
        """Return the rays of a window of the image, in other units: value * scale + shift, (columns, rows)."""
        base, linear, heart = (field[rows, columns] * scale for field in (self.base, self.linear, self.heart))
        return Rays(base.add_(shift), linear, heart, self.depth, self.nearness)


def cast_rays(anatomy: Anatomy, landmarks: Landmarks, patient: Patient, exposure: Exposure, size: int) -> Rays:
    """Lay the rays of one exposure of one patient through the anatomy, for `size` x `size` pixels."""
    depth = anatomy.axes()[0].astype(np.float64)
    across, down = _pixel_plane(exposure, size, size // CELL + 1)
    body = np.stack([_habitus(across, patient), down / patient.height], axis=-1)
    common, with_depth = elastic_waves(across, down, patient)
    common += _domes(across, down, landmarks, patient)
    common[..., 0] += patient.scoliosis * np.sin(down / 55.0)
    turn = np.tan(np.deg2rad([exposure.yaw, exposure.tilt]))
    scale, offset = _grid_units(anatomy)
    base = (body + common) * scale + offset
    linear = (body * magnification_slope(exposure) + with_depth / 100 + turn) * scale
    heart = _heart(across, down, landmarks, patient) * scale
    nearness = np.exp(-(((depth - landmarks.heart[0]) / 62.0) ** 4))
    return Rays(
        base=refine(base, size),
        linear=refine(linear, size),
        heart=refine(heart, size),
        depth=tuple(depth.tolist()),
        nearness=tuple(nearness.tolist()),
    )


def magnification_slope(exposure: Exposure) -> float:
    """Change per millimetre of depth (front +) of the size of a pixel's patch, 1 at the isocentre.

    PA rays enter the back and spread towards the front, so a patch grows with depth there and what lies in front is
    shown smaller; AP rays enter the front, which is why an AP view shows a larger heart.
    """
    return (-1 if exposure.view == AP else 1) / exposure.distance


def _grid_units(anatomy: Anatomy) -> tuple[Doubles, Doubles]:
    """From millimetres (across, down) to grid_sample's units: value * scale + offset."""
    last: Doubles = np.array(anatomy.shape[:0:-1], dtype=np.float64) - 1
    scale = 2 / (last * np.array(anatomy.spacing[:0:-1]))
    offset: Doubles = 2 * np.array(anatomy.centre[:0:-1], dtype=np.float64) / last - 1
    return scale, offset


def refine(field: Doubles, size: int) -> torch.Tensor:
    """Interpolate a smooth field (points, points, 2) to every pixel by cubic splines: (size, size, 2)."""
    spline = torch.from_numpy(_spline(field.shape[0], size))
    columns = spline @ torch.from_numpy(field.astype(np.float32))  # (points, size, 2)
    return (spline @ columns.flatten(1)).unflatten(1, (size, 2))


@lru_cache(maxsize=4)
def _spline(points: int, size: int) -> NDArray[np.float32]:
    """Matrix (size, points) from values at evenly spaced points to values at every pixel."""
    spline = CubicSpline(np.linspace(0, 1, points), np.eye(points))
    return np.asarray(spline(np.linspace(0, 1, size)), dtype=np.float32)


def _pixel_plane(exposure: Exposure, size: int, points: int) -> tuple[Doubles, Doubles]:
    """Millimetres (across, down) in the isocentre's plane of `points` places from the first to the last pixel."""
    line = np.linspace(0.5 / size - 0.5, 0.5 - 0.5 / size, points) * exposure.field
    down, across = np.meshgrid(line, line, indexing="ij")
    angle = np.deg2rad(exposure.roll)
    turned = np.cos(angle) * across - np.sin(angle) * down
    return turned + exposure.shift[0], np.sin(angle) * across + np.cos(angle) * down + exposure.shift[1]


def _habitus(across: Doubles, patient: Patient) -> Doubles:
    """Scale the trunk's width, and the flanks outside the rib cage by a factor of their own."""
    scaled = across / patient.width
    beyond = np.maximum(np.abs(scaled) - FLANK, 0)
    return scaled - np.sign(scaled) * beyond * (1 - 1 / patient.flank)


def elastic_waves(across: Doubles, down: Doubles, patient: Patient) -> tuple[Doubles, Doubles]:
    """Elastic displacement (points, points, 2) in millimetres: common to all slabs, and per 100 mm of depth."""
    common = np.zeros((*across.shape, 2))
    with_depth = np.zeros_like(common)
    for a_across, a_down, b_across, b_down, k_across, k_down, first, second in patient.waves:
        phase = k_across * across + k_down * down
        wave = np.stack([np.sin(phase + first), np.sin(phase + second)], axis=-1)
        common += wave * (a_across, a_down)
        with_depth += wave * (b_across, b_down)
    return common, with_depth


def _domes(across: Doubles, down: Doubles, landmarks: Landmarks, patient: Patient) -> Doubles:
    """Raise each half of the diaphragm by its own amount, fading out over half a lung."""
    field = np.zeros((*across.shape, 2))
    for rise, side in zip(patient.domes, ("right", "left"), strict=True):
        lung = landmarks.lungs[side]
        centre = 0.6 * lung.hilum[2] + 0.4 * float(np.nanmedian(lung.wall))
        level = lung.apex + 0.72 * (lung.base - lung.apex)
        field[..., 1] += rise * np.exp(-(((across - centre) / 75) ** 2) / 2 - (((down - level) / 60) ** 2) / 2)
    return field


def _heart(across: Doubles, down: Doubles, landmarks: Landmarks, patient: Patient) -> Doubles:
    """Enlarge heart and upper mediastinum about the midline; the lung around them gives way without a seam.

    The chest wall stays, so a very large heart comes out smaller than its scale says.
    """
    level = landmarks.heart[1]
    half_width, half_height = landmarks.heart_radius
    reach = max(patient.heart, 1.0)
    wall = min(float(np.nanmax(np.abs(lung.wall))) for lung in landmarks.lungs.values())
    x, z = across - 6.0, down - level
    ring = (x / min(half_width * 1.35 * reach, 0.83 * wall)) ** 2 + (z / (half_height * 1.5 * reach)) ** 2
    inside = np.exp(-(ring**3))
    tall = 1 + 0.55 * (patient.heart - 1)
    upper = np.exp(-((x / 45) ** 4) - ((z + 85) / 45) ** 2)
    widening = x * (1 / patient.heart - 1) * inside + x * (1 / patient.mediastinum - 1) * upper
    return np.stack([widening, z * (1 / tall - 1) * inside], axis=-1)
