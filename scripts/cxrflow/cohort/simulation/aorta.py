"""The ageing aorta: long, wide and bent, and with chalk in its wall."""

from itertools import pairwise

import numpy as np

from cxrflow.cohort.simulation.air import border
from cxrflow.cohort.simulation.anatomy import Floats
from cxrflow.cohort.simulation.canvas import Canvas, Window, chord, curve, wire
from cxrflow.cohort.simulation.landmarks import Lung
from cxrflow.cohort.simulation.projection import Part

ARCH = 0.28  # of the left lung's height from its apex: where the arch crosses the border of the mediastinum


def tortuous_aorta(canvas: Canvas, rng: np.random.Generator, amount: float) -> list[Part]:
    """Draw an arch that bulges into the left lung and a descending aorta that swings out beside the spine.

    Only the lung that they take the place of changes: inside the mediastinum all is as dense as blood.
    """
    lung = canvas.lung("left")
    level = arch_level(lung) + rng.normal(0, 4)
    out = border(canvas, "left", level) + rng.uniform(3, 7) + 8 * amount
    middle = (0.0, (lung.apex + lung.base) / 2 + 10, out)
    window = canvas.window(middle, (85, (lung.base - lung.apex) / 2 + 10, 45))
    share = np.maximum(
        _arch(canvas, window, rng, level, out),
        _descending(canvas, window, rng, level, out - rng.uniform(0, 5), 4 + 15 * amount),
    )
    taken = share * lung.share[window] * np.float32(min(canvas.strength, 1.0))
    return [canvas.add(window, taken * canvas.room(window))]


def aortic_calcification(canvas: Canvas, rng: np.random.Generator, amount: float) -> list[Part]:
    """Draw chalk in the wall of the arch: a thin arc along its outline, broken here and there; sometimes a streak
    along the descending aorta."""
    level = arch_level(canvas.lung("left")) + rng.normal(0, 3)
    tall, broad = rng.uniform(11, 16), rng.uniform(11, 17)
    middle = border(canvas, "left", level) - rng.uniform(1.0, 2.5) - broad
    start, end = np.deg2rad([rng.uniform(-125, -60), rng.uniform(5, 65)])
    turns = np.linspace(start, end, 4 + int(rng.integers(1, 5)))
    parts = []
    for first, last in pairwise(turns):
        if len(turns) > 5 and rng.random() < 0.25:
            continue  # a gap in the arc
        angle = np.linspace(first, last + 0.05, 60)
        out = 1 + rng.normal(0, 0.02)
        arc = [np.full_like(angle, -4.0), level + tall * out * np.sin(angle), middle + broad * out * np.cos(angle)]
        density = rng.uniform(0.6, 1.1) * (0.9 + 1.3 * amount) * canvas.strength
        parts.append(wire(canvas, np.stack(arc, axis=1), rng.uniform(0.45, 0.8) + 0.35 * amount, density))
    if rng.random() < 0.15 + 0.35 * amount:
        parts.append(_wall_streak(canvas, rng, level))
    return parts


def arch_level(lung: Lung) -> float:
    """Height (mm) at which the arch meets the border of the mediastinum."""
    return lung.apex + ARCH * (lung.base - lung.apex)


def _arch(canvas: Canvas, window: Window, rng: np.random.Generator, level: float, out: float) -> Floats:
    """Share of each element in the arch: an ellipsoid, long from front to back, that reaches `out` to the left."""
    depth, down, across = canvas.places(window)
    radius, stretch = rng.uniform(21, 28), rng.uniform(1.2, 1.8)
    tall = radius * rng.uniform(0.8, 1.0)
    inside = 1 - ((down - level) / tall) ** 2 - ((across - out + radius) / radius) ** 2
    slab = canvas.anatomy.spacing[0]
    return chord((radius * stretch) ** 2 * inside, depth, rng.uniform(-16, 0), slab) / np.float32(slab)


def _descending(
    canvas: Canvas, window: Window, rng: np.random.Generator, level: float, out: float, swing: float
) -> Floats:
    """Share of each element in the descending aorta, whose outer border swings out by up to `swing` mm and back."""
    lung = canvas.lung("left")
    depth, down, across = canvas.places(window)
    along = np.clip((down - level) / (0.92 * lung.base - level), 0, 1)
    bend = np.sin(np.pi * along ** rng.uniform(0.7, 1.3)) * swing
    radius = rng.uniform(12, 15.5)
    middle = out - radius + bend - along * rng.uniform(0, 14)
    back = (0.5 * lung.back) * np.sin(np.pi * np.clip(along + 0.12, 0, 1) ** 0.6)
    inside = (radius**2 - (across - middle) ** 2) * (down >= level)
    slab = canvas.anatomy.spacing[0]
    return chord(inside, depth, back.astype(np.float32), slab) / np.float32(slab)


def _wall_streak(canvas: Canvas, rng: np.random.Generator, level: float) -> Part:
    """A thin line of chalk along the outer wall of the descending aorta, below the arch."""
    first, edge = level + rng.uniform(16, 30), border(canvas, "left", level)
    levels = np.linspace(first, first + rng.uniform(14, 45), 4)
    places = edge - rng.uniform(2, 6) - np.cumsum(rng.uniform(-0.6, 1.4, 4))
    line = curve([(-40.0, down, across) for down, across in zip(levels.tolist(), places.tolist(), strict=True)])
    return wire(canvas, line, rng.uniform(0.45, 0.7), rng.uniform(0.6, 1.2) * canvas.strength)
