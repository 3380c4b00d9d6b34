"""Line integrals through the deformed anatomy, and the box that a part of it covers in the image."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from cxrflow.cohort.simulation.anatomy import Floats
from cxrflow.cohort.simulation.deformation import Rays

WATER = 0.17  # 1/cm: water in the middle of a chest beam of 110 to 120 kVp (Hubbell and Seltzer, NIST 126, 80 keV)
BOX_LEVEL = 0.22  # share of a finding's strongest line integral that counts as inside its box
BOX_STEP = 2  # pixels between the line integrals that a box is measured from
STRIDE = 8  # pixels between the places tried when looking for the window that sees a part


@dataclass(frozen=True)
class Part:
    """A piece of a volume: its elements (slabs, rows, columns; cm of water) and the place of the first of them."""

    values: Floats
    corner: tuple[int, int, int]


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the image: left and upper edge, width, height."""

    x: int
    y: int
    w: int
    h: int


def line_integrals(volume: Floats, rays: Rays) -> Floats:
    """Sum a volume (slabs, rows, columns; cm of water) along the rays: (size, size), cm of water."""
    return _without_steps(_sum_slabs(volume, rays, 0, "border"), rays)


def transmission(water_cm: Floats) -> Floats:
    """Share of the beam left behind `water_cm` of water (Beer and Lambert): exp(-mu x)."""
    return np.exp(-WATER * water_cm)


def part_box(part: Part, shape: tuple[int, int, int], rays: Rays, level: float = BOX_LEVEL) -> Box | None:
    """Box in the image of a part of a volume of `shape`, exact to BOX_STEP pixels and never smaller than the truth."""
    integrals, top, left = part_integrals(part, shape, rays)
    return box_of(integrals, top, left, BOX_STEP, rays.base.shape[0], level)


def part_integrals(part: Part, shape: tuple[int, int, int], rays: Rays) -> tuple[Floats, int, int]:
    """Line integrals of a part of a volume of `shape`, at every BOX_STEP-th pixel of the window that can see it.

    Returns the integrals (cm of water) and the window's first row and column in pixels.
    """
    scale, shift = _part_units(part, shape)
    slabs = range(part.corner[0], part.corner[0] + part.values.shape[0])
    rows, columns = _window(rays, slabs, scale, shift)
    seen = rays.window(rows, columns, scale, shift)
    return _sum_slabs(part.values, seen, part.corner[0], "zeros"), rows.start, columns.start


def _sum_slabs(values: Floats, rays: Rays, first: int, padding: str) -> Floats:
    """Sum slabs (slabs, rows, columns), the first of which is the `first` of the anatomy, along rays in their units."""
    total, grid = torch.zeros(rays.base.shape[:2]), torch.empty_like(rays.base)
    for index, slab in enumerate(torch.from_numpy(values), start=first):
        places = rays.grid(index, out=grid)[None]
        total += F.grid_sample(slab[None, None], places, padding_mode=padding, align_corners=True)[0, 0]
    return total.numpy()


def box_of(integrals: Floats, top: int, left: int, step: int, size: int, level: float = BOX_LEVEL) -> Box | None:
    """Box of the pixels where |integrals| exceeds `level` of its maximum, widened by the grain of the integrals.

    `integrals` hold every `step`-th pixel from row `top` and column `left` on. None where nothing is seen.
    """
    strength = np.abs(integrals)
    peak = float(strength.max(initial=0.0))
    if peak < 1e-4:
        return None
    inside = strength > level * peak
    edges = []
    for first, axis in ((left, 0), (top, 1)):
        found = np.flatnonzero(inside.any(axis=axis))
        low, high = first + (int(found[0]) - 1) * step + 1, first + (int(found[-1]) + 1) * step
        edges.append((max(low, 0), min(high, size)))
    (x, right), (y, bottom) = edges
    return Box(x, y, right - x, bottom - y)


def _without_steps(integrals: Floats, rays: Rays) -> Floats:
    """Smooth over the steps that slabs leave in edges that run along the rays.

    From slab to slab such an edge moves by a few pixels at the border of the image and by none in its middle; a running
    mean as long as the largest step, blended in with the distance from the middle, takes the comb away.
    """
    size = integrals.shape[0]
    pitch = rays.depth[1] - rays.depth[0] if len(rays.depth) > 1 else 0.0
    pixel = float(torch.abs(rays.base[0, -1, 0] - rays.base[0, 0, 0])) / (size - 1)
    step = torch.abs(rays.linear[size // 2, :, 0]).numpy() * np.float32(pitch / pixel)
    length = int(np.clip(np.ceil(step.max()), 1, size // 40))
    blurred = ndimage.uniform_filter1d(integrals, length, axis=1)
    weight = np.clip(step / max(length, 1), 0, 1)
    return integrals + (blurred - integrals) * weight.astype(np.float32)


def _window(rays: Rays, slabs: range, scale: torch.Tensor, shift: torch.Tensor) -> tuple[slice, slice]:
    """Rows and columns of the image whose rays pass through the part, rounded outwards to the stride."""
    size = rays.base.shape[0]
    every = slice(None, None, STRIDE)
    sparse = rays.window(every, every, scale, shift)
    reach = 1 + 2 * STRIDE * float(scale.max()) * 2 / size
    seen = torch.zeros((-(-size // STRIDE),) * 2, dtype=torch.bool)
    for slab in (slabs[0], slabs[len(slabs) // 2], slabs[-1]):
        seen |= (sparse.grid(slab).abs_() <= reach).all(dim=-1)
    found = [torch.nonzero(seen.any(dim=axis)).flatten() for axis in (1, 0)]
    if len(found[0]) == 0:
        return slice(0, 1), slice(0, 1)
    edges = [(max(int(line[0]) - 1, 0) * STRIDE, min((int(line[-1]) + 2) * STRIDE, size)) for line in found]
    return slice(*edges[0], BOX_STEP), slice(*edges[1], BOX_STEP)


def _part_units(part: Part, shape: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """From grid_sample's units of the whole volume to those of the part: value * scale + shift, (columns, rows)."""
    scale, shift = [], []
    for axis in (2, 1):
        whole, length = shape[axis] - 1, max(part.values.shape[axis] - 1, 1)
        scale.append(whole / length)
        shift.append((whole - 2 * part.corner[axis]) / length - 1)
    return torch.tensor(scale, dtype=torch.float32), torch.tensor(shift, dtype=torch.float32)
