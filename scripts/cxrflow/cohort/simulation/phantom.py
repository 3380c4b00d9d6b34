"""A chest made of ellipsoids: it needs no scan and renders in milliseconds, for tests and the small end-to-end run."""

import numpy as np
from numpy.typing import NDArray

from cxrflow.cohort.simulation.anatomy import LOBES, Anatomy, Bytes, Floats

SPACING = (18.0, 3.4, 3.2)
SHAPE = (13, 104, 118)
LAYERS = 6  # per slab: shapes are laid out in thin layers and averaged, so that slabs leave no steps
_LUNG, _MUSCLE = 0.25, 1.0
_LUNGS = {"left": (0.0, -2.0, 66.0), "right": (0.0, 2.0, -66.0)}
_LUNG_HALF = (84.0, 122.0, 58.0)
_HEART, _HEART_HALF = (25.0, 38.0, 20.0), (48.0, 52.0, 66.0)

Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]
Mesh = tuple[Doubles, Doubles, Doubles]
Place = tuple[float, float, float]


def phantom_anatomy() -> Anatomy:
    """Return trunk, two lungs of five lobes, heart, diaphragm, spine, ribs and vessels as ellipsoids and tubes."""
    mesh = _mesh()
    depth, down, across = mesh
    trunk = ((depth / 105) ** 4 + (across / 165) ** 4) < 1
    heart = _inside(mesh, _HEART, _HEART_HALF)
    diaphragm = (down - 150) ** 2 / 95**2 + (across**2) / 190**2 + depth**2 / 120**2 < 1
    lungs = {side: _inside(mesh, place, _LUNG_HALF) & ~heart & ~diaphragm for side, place in _LUNGS.items()}
    either = lungs["left"] | lungs["right"]
    spine = (np.hypot(across, depth + 80) < 17) & (np.cos(down / 4.2) > -0.75)
    ribs = _ribs(depth, down, across) & ~either & trunk
    vessels = 1 + 1.5 * np.exp(-(((np.abs(across) - 35) / 16) ** 2) - ((down + 5) / 30) ** 2)
    slab = np.float32(SPACING[0] / 10)
    return Anatomy(
        soft=_average(np.where(trunk & ~either, _MUSCLE, 0.0)) * slab,
        bone=_average(np.where(spine, 0.35, np.where(ribs, 0.45, 0.0))) * slab,
        lung=_average(np.where(either, _LUNG * vessels, 0.0)) * slab,
        lobes=np.stack([_share(_lobe(name, lungs, down, depth)) for name in LOBES]),
        heart=_share(heart & trunk),
        spacing=SPACING,
        centre=((SHAPE[0] - 1) / 2, (SHAPE[1] - 1) / 2, (SHAPE[2] - 1) / 2),
    )


def _mesh() -> Mesh:
    """Millimetres from the central ray (depth, down, across) of every element of every layer."""
    counts = (SHAPE[0] * LAYERS, *SHAPE[1:])
    steps = (SPACING[0] / LAYERS, *SPACING[1:])
    axes = [(np.arange(count) - (count - 1) / 2) * step for count, step in zip(counts, steps, strict=True)]
    depth, down, across = np.meshgrid(*axes, indexing="ij")
    return depth, down, across


def _average(layers: Doubles) -> Floats:
    return layers.reshape(SHAPE[0], LAYERS, *SHAPE[1:]).mean(axis=1).astype(np.float32)


def _share(mask: Mask) -> Bytes:
    return np.rint(_average(mask.astype(np.float64)) * 255).astype(np.uint8)


def _inside(mesh: Mesh, centre: Place, half: Place) -> Mask:
    squares = [((axis - at) / reach) ** 2 for axis, at, reach in zip(mesh, centre, half, strict=True)]
    return np.sum(squares, axis=0) < 1


def _ribs(depth: Doubles, down: Doubles, across: Doubles) -> Mask:
    """Thin shell around the lungs, cut into slanting rings."""
    shell = np.abs((across / 128) ** 2 + (depth / 92) ** 2 - 1) < 0.16
    return shell & (np.cos((down + 0.25 * depth + 0.12 * np.abs(across)) / 4.4) > 0.45) & (np.abs(down) < 125)


def _lobe(name: str, lungs: dict[str, Mask], down: Doubles, depth: Doubles) -> Mask:
    """Cut a lung along an oblique fissure, and the right one along a horizontal one as well."""
    side, part = name.split()
    lower = down > 10 + 0.6 * depth
    middle = ~lower & (down > 5) if side == "right" else np.zeros_like(lower)
    return lungs[side] & {"lower": lower, "middle": middle, "upper": ~lower & ~middle}[part]
