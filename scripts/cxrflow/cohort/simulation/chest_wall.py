"""Air in the soft tissue outside the ribs: streaks between the fibres of muscles, and froth."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cxrflow.cohort.simulation.anatomy import Floats
from cxrflow.cohort.simulation.canvas import HEAD, Canvas, Window, ramp
from cxrflow.cohort.simulation.projection import Part

PECTORAL, LATERAL, NECK = 64.0, 5.0, 20.0  # mm of depth: the muscle before the ribs, the wall beside them, the neck


def subcutaneous_emphysema(canvas: Canvas, rng: np.random.Generator, side: str, amount: float) -> list[Part]:
    """Draw air between the muscles of one side: along the lateral wall, in a fan over the chest, in the neck.

    Where there is little it lies beside the ribs only; more of it spreads along the fibres of the pectoral muscle and
    up into the neck.
    """
    strength = rng.uniform(0.5, 0.9) + 1.1 * amount
    parts = [_beside_ribs(canvas, rng, side, 2.2 * strength, 70 + 120 * amount)]
    if rng.random() < 0.2 + 0.7 * amount:
        parts.append(_along_pectoral(canvas, rng, side, 1.25 * strength))
    if rng.random() < 0.2 + 0.7 * amount:
        parts.append(_beside_neck(canvas, rng, side, 1.6 * strength))
    return parts


def _beside_ribs(canvas: Canvas, rng: np.random.Generator, side: str, water_cm: float, reach: float) -> Part:
    """Streaks and froth beside the ribs, nearly along the wall, from the axilla down over `reach` mm."""
    lung = canvas.lung(side)
    first = lung.apex + rng.uniform(10, 45)
    middle = (LATERAL, first + reach / 2, lung.outward * 150)
    window = canvas.window(middle, (18, reach / 2 + 20, 65))
    _, down, across = canvas.places(window)
    outside = (across[0] * lung.outward) - np.abs(_rib_cage(canvas, side))[window[1], None]
    along = down[0] - first
    slant = rng.normal(0.12, 0.12)
    lines = _striations(rng, outside + slant * along, along, (rng.uniform(2.5, 4.5), rng.uniform(14, 34)))
    froth = _striations(rng, outside, along, (5, 6))
    texture = np.maximum(lines, froth * rng.uniform(0, 0.8))
    place = ramp(outside - 4, 2) * ramp(rng.uniform(18, 34) - outside, 4) * ramp(along, 10) * ramp(reach - along, 14)
    return _sheet(canvas, rng, window, texture * place, water_cm)


def _along_pectoral(canvas: Canvas, rng: np.random.Generator, side: str, water_cm: float) -> Part:
    """Streaks along the fibres of the pectoral muscle: a fan from the axilla over the upper chest."""
    lung = canvas.lung(side)
    top, far = lung.apex + rng.uniform(10, 40), rng.uniform(215, 260)  # the fibres meet at the arm, outside the image
    tilt = rng.uniform(-50, 25)
    window = canvas.window((PECTORAL, top + 35, lung.outward * 92), (14, 75, 60))
    _, down, across = canvas.places(window)
    x, z = far - across[0] * lung.outward, down[0] - top - tilt
    away, level = np.hypot(x, z), down[0] - top + 0 * across[0]
    wavy = 2.0 * np.sin(away / rng.uniform(9, 16) + rng.uniform(0, 6.3))
    lines = _striations(rng, np.arctan2(z, x) * (far - 90) + wavy, away, (rng.uniform(2.6, 4.2), rng.uniform(14, 30)))
    lower, inner = rng.uniform(35, 80), rng.uniform(40, 85)
    place = ramp(level, 8) * ramp(lower - level, 12) * ramp(across[0] * lung.outward - inner, 12)
    return _sheet(canvas, rng, window, lines * place, water_cm)


def _beside_neck(canvas: Canvas, rng: np.random.Generator, side: str, water_cm: float) -> Part:
    """Streaks beside the neck and above the clavicle."""
    lung = canvas.lung(side)
    middle = (NECK, (lung.apex + HEAD) / 2 + 8, lung.outward * 52)
    window = canvas.window(middle, (14, (lung.apex - HEAD) / 2 + 12, 45))
    _, down, across = canvas.places(window)
    out, up = across[0] * lung.outward, lung.apex + rng.uniform(0, 12) - down[0]
    lines = _striations(rng, out - rng.uniform(0.2, 0.7) * up, up, (rng.uniform(3, 5), rng.uniform(14, 30)))
    place = ramp(out - rng.uniform(18, 30), 4) * ramp(rng.uniform(55, 85) - out, 8) * ramp(up, 6)
    return _sheet(canvas, rng, window, lines * place, water_cm)


def _striations(rng: np.random.Generator, over: Floats, along: Floats, cells: tuple[float, float]) -> Floats:
    """Soft streaks, 0 to 1: noise with cells (mm) narrow over the fibres (`over`, mm) and long along them."""
    counts = [max(int(np.ptp(axis) / cell) + 3, 4) for axis, cell in zip((over, along), cells, strict=True)]
    grid = rng.standard_normal(counts)
    places = [(axis - axis.min()) / cell + 1 for axis, cell in zip((over, along), cells, strict=True)]
    lines = ndimage.map_coordinates(grid, np.broadcast_arrays(*places), order=2, mode="nearest")
    patches = ndimage.map_coordinates(
        rng.standard_normal((4, 5)),
        [place / count * size for place, count, size in zip(np.broadcast_arrays(*places), counts, (3, 4), strict=True)],
        order=2,
        mode="nearest",
    )
    return (ramp(lines - 0.35, 0.45) * ramp(patches + 0.3, 0.4)).astype(np.float32)


def _sheet(canvas: Canvas, rng: np.random.Generator, window: Window, pattern: Floats, water_cm: float) -> Part:
    """Take away a pattern (rows, columns; 0 to 1) from a window; a ray meets up to `water_cm` less."""
    slabs = window[0].stop - window[0].start
    shares = rng.dirichlet(np.full(slabs, 3.0))
    air = pattern[None] * (shares[:, None, None] * water_cm * canvas.strength)
    return canvas.carve(window, air.astype(np.float32))


def _rib_cage(canvas: Canvas, side: str) -> NDArray[np.float64]:
    """Outer border (mm) of the lung in each row, carried on above and below it; the ribs lie just outside."""
    lung = canvas.lung(side)
    down = canvas.anatomy.axes()[1]
    edge = np.where(np.isfinite(lung.wall), lung.wall * lung.outward, -np.inf).max(axis=0)
    known = np.isfinite(edge)
    widest = np.maximum.accumulate(edge[known])
    return np.asarray(np.interp(down, down[known], widest) * lung.outward)
