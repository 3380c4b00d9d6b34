"""The volume that findings are drawn into, and the few tools they are drawn with."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from cxrflow.cohort.simulation.anatomy import LOBES, Anatomy, Floats
from cxrflow.cohort.simulation.landmarks import Landmarks, Lung
from cxrflow.cohort.simulation.patient import Patient
from cxrflow.cohort.simulation.projection import Part

Point = tuple[float, float, float]
Window = tuple[slice, slice, slice]

HEAD = -170.0  # mm: above it no image of the chest shows anything
MOST = np.float32(0.92)  # of the tissue in an element that air can replace


@dataclass
class Canvas:
    """One patient's volume (slabs, rows, columns; cm of water), in the undeformed anatomy's places.

    Places are millimetres (slab, row, column) from the central ray; `strength` multiplies what findings add.
    """

    anatomy: Anatomy
    landmarks: Landmarks
    patient: Patient
    volume: Floats
    strength: float

    @classmethod
    def of(cls, anatomy: Anatomy, landmarks: Landmarks, patient: Patient, strength: float) -> "Canvas":
        """Mix the anatomy's tissues as this patient has them, slab by slab: a slab fits into the processor's cache."""
        volume = np.empty_like(anatomy.soft)
        tissues = (anatomy.soft, anatomy.bone, anatomy.lung)
        for slab, soft, bone, lung in zip(*map(torch.from_numpy, (volume, *tissues)), strict=True):
            torch.mul(soft, patient.depth, out=slab)
            slab.add_(bone, alpha=patient.bone).add_(lung, alpha=patient.lung)
        return cls(anatomy, landmarks, patient, volume, strength)

    @property
    def slab_cm(self) -> float:
        """Thickness of a slab in centimetres."""
        return self.anatomy.spacing[0] / 10

    @property
    def grain(self) -> float:
        """Side of an element in the image plane (mm): what is thinner must be drawn as wide and as much fainter."""
        return math.sqrt(self.anatomy.spacing[1] * self.anatomy.spacing[2])

    def window(self, centre: Point, reach: Point) -> Window:
        """Slices of the elements within `reach` (mm) of `centre`, at least one element along each axis."""
        slices = []
        for place, distance, step, middle, count in zip(
            centre, reach, self.anatomy.spacing, self.anatomy.centre, self.anatomy.shape, strict=True
        ):
            first = int(np.clip(np.floor((place - distance) / step + middle), 0, count - 1))
            last = int(np.clip(np.ceil((place + distance) / step + middle), first, count - 1))
            slices.append(slice(first, last + 1))
        return slices[0], slices[1], slices[2]

    def places(self, window: Window) -> tuple[Floats, Floats, Floats]:
        """Depth, down and across (mm) of a window's elements, shaped to broadcast over it."""
        depth, down, across = (axis[part] for axis, part in zip(self.anatomy.axes(), window, strict=True))
        return depth[:, None, None], down[None, :, None], across[None, None, :]

    def lobes(self, names: tuple[str, ...], window: Window) -> Floats:
        """Share of the named lobes in each element of a window, 0 to 1."""
        members = [LOBES.index(name) for name in names]
        total = np.zeros([part.stop - part.start for part in window], dtype=np.float32)
        for member in members:
            total += self.anatomy.lobes[member][window]
        return np.minimum(total / np.float32(255), np.float32(1))

    def add(self, window: Window, values: Floats) -> Part:
        """Add `values` (cm of water) to the volume and return them as a part of it."""
        values = np.ascontiguousarray(values, dtype=np.float32)
        self.volume[window] += values
        return Part(values, (window[0].start, window[1].start, window[2].start))

    def carve(self, window: Window, air: Floats) -> Part:
        """Take away `air` (cm of water), as far as there is tissue, and return the (negative) change as a part."""
        return self.add(window, -np.clip(air, 0, MOST * self.volume[window]))

    def room(self, window: Window) -> Floats:
        """Air in each element of a window, as the cm of water it can become: nothing fills what is full already."""
        full = np.float32(self.slab_cm * self.patient.depth)
        return np.clip(full - self.volume[window], 0, np.float32(self.slab_cm))

    def lung(self, side: str) -> Lung:
        """Return the lung of the patient's 'left' or 'right' side."""
        return self.landmarks.lungs[side]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], cells: tuple[int, int, int]) -> Floats:
    """Noise of about unit variance over `shape`, smooth between `cells` random values along each axis."""
    coarse = torch.from_numpy(rng.standard_normal(cells, dtype=np.float32) * np.float32(1.6))
    depth, down, across = (_between(count, length) for count, length in zip(cells, shape, strict=True))
    deep = (depth @ coarse.flatten(1)).unflatten(1, cells[1:])
    return torch.matmul(torch.matmul(down, deep), across.T).numpy()


@lru_cache(maxsize=256)
def _between(cells: int, places: int) -> torch.Tensor:
    """Matrix (places, cells) of linear interpolation from the first cell to the last."""
    return F.interpolate(torch.eye(cells)[None], size=places, mode="linear", align_corners=True)[0].T.contiguous()


def ramp(values: Floats | NDArray[np.float64], width: float) -> Floats:
    """Smooth step from 0 (far below zero) to 1 (far above), about `width` wide: (1 + tanh(values / width)) / 2."""
    scaled = np.asarray(values, dtype=np.float32) * np.float32(2 / width)
    return torch.from_numpy(scaled).sigmoid_().numpy()


def edge(inside: NDArray[Any], grain: float, most: float | NDArray[np.float64] = 1.0) -> NDArray[Any]:
    """Share of an element of side `grain` (mm) that lies in a body whose edge is `inside` millimetres further out.

    `most` is the share that a thin body can fill at best. Its mass is then right wherever it lies among the elements,
    and a slanting line is no row of beads.
    """
    return np.clip(inside / grain + 0.5, 0, most)


def chord(radius2: Floats, depth: Floats, middle: float | Floats, slab: float) -> Floats:
    """Millimetres of each slab (its middle at `depth`) inside a body that reaches sqrt(radius2) before and behind
    `middle`, which may differ from ray to ray."""
    half = np.sqrt(np.maximum(radius2, 0))
    upper = np.minimum(middle + half, depth + slab / 2)
    lower = np.maximum(middle - half, depth - slab / 2)
    return np.maximum(upper - lower, 0).astype(np.float32)


def curve(points: list[Point], step: float = 0.4) -> NDArray[np.float64]:
    """Smooth curve (places, 3) through `points`, its places at most about `step` millimetres apart."""
    knots = np.asarray(points, dtype=np.float64)
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1) + 1e-6)])
    count = max(int(lengths[-1] / step), 2)
    return np.asarray(PchipInterpolator(lengths, knots)(np.linspace(0, lengths[-1], count)))


def wire(canvas: Canvas, points: NDArray[np.float64], radius: float, water_cm: float) -> Part:
    """Draw a rod of `radius` (mm) along a curve; a ray across its middle meets `water_cm` more."""
    return canvas.add(*rod(canvas, points, radius, water_cm))


def rod(
    canvas: Canvas, points: NDArray[np.float64], radius: float | NDArray[np.float64], water_cm: float
) -> tuple[Window, Floats]:
    """Return the window around a rod along a curve and its elements (cm of water), without drawing it.

    `radius` (mm) is one for the whole rod, or one per point.
    """
    spacing, centre = np.array(canvas.anatomy.spacing), np.array(canvas.anatomy.centre)
    reach = float(np.max(radius)) + 2 * canvas.grain
    low, high = points.min(axis=0) - reach, points.max(axis=0) + reach
    middle, half = (low + high) / 2, (high - low) / 2
    window = canvas.window(tuple(middle.tolist()), tuple(half.tolist()))
    start = np.array([part.start for part in window])
    shape = tuple(part.stop - part.start for part in window)
    exact = points / spacing + centre - start
    nearest = np.rint(exact).astype(int)
    drawn = np.zeros(shape, dtype=np.float32)
    rows, columns = (int((float(np.max(radius)) + canvas.grain / 2) / spacing[axis] + 0.5) for axis in (1, 2))
    for row in range(-rows, rows + 1):
        for column in range(-columns, columns + 1):
            place = nearest + np.array([0, row, column])
            away = np.hypot(*((place - exact)[:, 1:] * spacing[1:]).T)
            profile = edge(radius - away, canvas.grain, np.minimum(2 * radius / canvas.grain, 1)) * water_cm
            kept = ((place >= 0) & (place < shape)).all(axis=1) & (profile > 0)
            np.maximum.at(drawn, tuple(place[kept].T), profile[kept].astype(np.float32))
    return window, drawn
