"""Findings of the lung tissue: airspace opacities, nodules, bands, edema, reticulation."""

import numpy as np

from cxrflow.cohort.simulation.anatomy import LOBES, Floats
from cxrflow.cohort.simulation.canvas import Canvas, Point, chord, curve, ramp, smooth_noise, wire
from cxrflow.cohort.simulation.landmarks import INSIDE
from cxrflow.cohort.simulation.projection import Part

# Band of the lung's height (0 apex, 1 base) that the index's words for a place stand for.
SEEN_THROUGH = (
    0.42  # of the lung's greatest depth: thinner is the recess behind diaphragm and heart, where little shows
)
_BANDS = {
    "apex": (0.04, 0.2),
    "upper": (0.1, 0.42),
    "hilum": (0.38, 0.55),
    "middle": (0.42, 0.65),
    "lower": (0.58, 0.82),
    "base": (0.66, 0.86),
    None: (0.12, 0.8),
}


def lobes_at(side: str, site: str | None) -> tuple[str, ...]:
    """Return the lobes that a place in a lung can mean; the lingula belongs to the left upper lobe."""
    lobes = tuple(name for name in LOBES if name.startswith(side))
    if site in ("upper", "apex"):
        return (f"{side} upper",)
    if site in ("lower", "base"):
        return (f"{side} lower",)
    if site == "middle":
        return ("right middle",) if side == "right" else ("left upper",)
    return lobes


def place_in_lung(canvas: Canvas, rng: np.random.Generator, side: str, site: str | None, margin: float) -> Point:
    """Draw a place in the given part of a lung, if possible `margin` millimetres or more inside its lateral wall."""
    lung = canvas.lung(side)
    sites = lung.sites
    low, high = (lung.apex + part * (lung.base - lung.apex) for part in _BANDS[site])
    share = sites.lobes[[LOBES.index(name) for name in lobes_at(side, site)]].sum(axis=0, dtype=np.uint16)
    there = (share > INSIDE) & (sites.thickness > SEEN_THROUGH * lung.thickness.max())
    _, down, across = sites.places.T
    allowed = there & (down >= low) & (down <= high) & (sites.inward > margin)
    if site == "hilum":
        allowed &= np.abs(across - lung.hilum[2]) < 25
    choices = np.flatnonzero(allowed if allowed.any() else there)
    place = sites.places[choices[rng.integers(len(choices))]].tolist()
    return place[0], place[1], place[2]


def airspace(
    canvas: Canvas, rng: np.random.Generator, side: str, site: str | None, density: float, reach: Point
) -> Part:
    """Fill part of one lobe: ragged and soft at its edge, sharp where it meets a fissure or the pleura.

    `density` is the share of the air that is replaced at the centre; `reach` the half axes (mm; depth, down, across).
    """
    centre = place_in_lung(canvas, rng, side, site, margin=reach[2] * 0.35)
    window = canvas.window(centre, (reach[0] * 1.6, reach[1] * 1.6, reach[2] * 1.6))
    depth, down, across = canvas.places(window)
    lobes = lobes_at(side, site) if rng.random() < 0.6 else lobes_at(side, None)
    share = canvas.lobes(lobes, window)
    radius = np.sqrt(
        ((depth - centre[0]) / reach[0]) ** 2
        + ((down - centre[1]) / reach[1]) ** 2
        + ((across - centre[2]) / reach[2]) ** 2
    )
    radius = radius + 0.26 * smooth_noise(rng, share.shape, (3, 6, 6))
    fill = ramp(1 - radius, rng.uniform(0.12, 0.4))
    patchy = np.clip(1 + 0.3 * smooth_noise(rng, share.shape, (5, 14, 14)), 0.2, 1.5)
    filled = np.minimum(fill * patchy * np.float32(density * canvas.strength), 1)
    values = filled * share * canvas.room(window)
    return canvas.add(window, values)


def nodule(
    canvas: Canvas, rng: np.random.Generator, side: str, site: str | None, diameter: float, density: float
) -> Part:
    """Draw a round, slightly lobulated lesion of `diameter` mm and `density` relative to water."""
    radius = diameter / 2
    centre = place_in_lung(canvas, rng, side, site, margin=radius + 2)
    window = canvas.window(centre, (radius * 1.3 + 1,) * 3)
    depth, down, across = canvas.places(window)
    angle = np.arctan2(down - centre[1], across - centre[2])
    lobes = sum(rng.normal(0, 0.045) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in (2, 3, 4, 5))
    squeeze = rng.uniform(0.85, 1.2)
    away2 = ((down - centre[1]) * squeeze) ** 2 + ((across - centre[2]) / squeeze) ** 2
    inside = (radius * (1 + np.asarray(lobes))) ** 2 - away2
    thickness = chord(inside, depth, centre[0], canvas.anatomy.spacing[0])
    inside_share = thickness / np.float32(canvas.anatomy.spacing[0])
    added = canvas.room(window) + np.float32((density - 1) * canvas.slab_cm)
    return canvas.add(window, inside_share * added * np.float32(canvas.strength))


def ring(canvas: Canvas, rng: np.random.Generator, side: str, site: str | None, diameter: float) -> Part:
    """Draw a cavity: a thick-walled round lesion filled with air."""
    radius, wall = diameter / 2, rng.uniform(3, 6)
    centre = place_in_lung(canvas, rng, side, site, margin=radius + 2)
    window = canvas.window(centre, (radius + 1,) * 3)
    depth, down, across = canvas.places(window)
    away2 = (down - centre[1]) ** 2 + (across - centre[2]) ** 2
    slab = canvas.anatomy.spacing[0]
    outer = chord(radius**2 - away2, depth, centre[0], slab)
    inner = chord((radius - wall) ** 2 - away2, depth, centre[0], slab)
    return canvas.add(window, (outer * 0.8 - inner) / np.float32(10) * np.float32(canvas.strength))


def band(
    canvas: Canvas, rng: np.random.Generator, side: str, site: str | None, length: float, thickness: float
) -> Part:
    """Draw a plate of collapsed lung seen on edge: a line of `length` mm, `thickness` mm thick, gently curved."""
    centre = place_in_lung(canvas, rng, side, site, margin=length * 0.3)
    window = canvas.window(centre, (30, length * 0.45 + 6, length * 0.6 + 4))
    depth, down, across = canvas.places(window)
    outward = canvas.lung(side).outward
    angle = np.deg2rad(rng.normal(12, 16)) * outward
    x, z = across - centre[2], down - centre[1]
    along = np.cos(angle) * x + np.sin(angle) * z
    away = (
        -np.sin(angle) * x
        + np.cos(angle) * z
        + rng.normal(0, 0.0022) * along**2
        + rng.normal(0, 0.06) * (depth - centre[0])
    )
    half = max(thickness / 2, 0.7 * canvas.grain)
    fill = np.exp(-((away / half) ** 2)) * np.float32(thickness / 2 / half) * ramp(length / 2 - np.abs(along), 4)
    fill = fill * ramp(rng.uniform(14, 26) - np.abs(depth - centre[0]), 5)
    values = fill * canvas.lobes(lobes_at(side, None), window) * canvas.room(window)
    return canvas.add(window, values * np.float32(rng.uniform(0.6, 1.0) * canvas.strength))


def whole_lung(canvas: Canvas, side: str) -> tuple[slice, slice, slice]:
    """Window around one lung."""
    lung = canvas.lung(side)
    middle = lung.hilum[2] + lung.outward * 45
    return canvas.window((0, (lung.apex + lung.base) / 2, middle), (120, (lung.base - lung.apex) / 2, 85))


def edema(canvas: Canvas, rng: np.random.Generator, side: str, density: float) -> Part:
    """Haze that spreads from the hilum and the base, swollen vessels, and short septal lines at the lateral base."""
    window = whole_lung(canvas, side)
    _, down, across = canvas.places(window)
    lung = canvas.lung(side)
    share = lung.share[window]
    x, z = across - lung.hilum[2], down - lung.hilum[1] - 15
    wings = np.exp(-((x / rng.uniform(45, 65)) ** 2) - (z / rng.uniform(60, 85)) ** 2)
    noise = np.clip(1 + 0.45 * smooth_noise(rng, share.shape, (4, 12, 9)), 0, 2)
    haze = wings * noise * share * canvas.room(window) * np.float32(0.5 * density)
    vessels = np.maximum(canvas.anatomy.lung[window] * (share > 0) - share * np.float32(0.3 * canvas.slab_cm), 0)
    part = canvas.add(window, (haze + vessels * np.float32(1.1 * density)) * np.float32(canvas.strength))
    _septal_lines(canvas, rng, side, density)
    return part


def _septal_lines(canvas: Canvas, rng: np.random.Generator, side: str, density: float) -> None:
    lung = canvas.lung(side)
    down = canvas.anatomy.axes()[1]
    for _ in range(rng.integers(4, 10)):
        level = lung.apex + rng.uniform(0.55, 0.8) * (lung.base - lung.apex)
        wall = float(np.nanmean(lung.wall[:, int(np.abs(down - level).argmin())]))
        start = wall - lung.outward * rng.uniform(1, 4)
        end = start - lung.outward * rng.uniform(8, 18)
        place = rng.uniform(-30, 30)
        wire(canvas, curve([(place, level, start), (place, level + rng.normal(0, 2), end)]), 0.5, 0.22 * density)


def reticulation(canvas: Canvas, rng: np.random.Generator, side: str, density: float) -> Part:
    """Fine net of lines, more at the base: swelling of what is already drawn in the lung, on a fine noise."""
    window = whole_lung(canvas, side)
    _, down, _ = canvas.places(window)
    lung = canvas.lung(side)
    share = lung.share[window]
    mesh = np.abs(smooth_noise(rng, share.shape, (9, 60, 40)))
    lines = np.exp(-((mesh / 0.35) ** 2))
    lower = np.clip((down - lung.apex) / (lung.base - lung.apex), 0.15, 1)
    values: Floats = lines * lower * share * np.float32(0.3 * density * canvas.slab_cm * canvas.strength)
    return canvas.add(window, values)
