"""What normal chests show as well, drawn irrespective of findings so that no artefact gives a finding away."""

import numpy as np

from cxrflow.cohort.simulation import devices, opacities
from cxrflow.cohort.simulation.canvas import Canvas
from cxrflow.cohort.simulation.landmarks import SIDES


def draw_variants(canvas: Canvas, rng: np.random.Generator, bedside: bool) -> None:
    """Draw what normal chests show as well: breasts, nipples, scars, old granulomas, faint basal haze, leads."""
    if canvas.patient.breasts:
        _breasts(canvas, rng)
    if rng.random() < 0.2:
        devices.nipples(canvas, rng)
    if rng.random() < (0.25 if bedside else 0.04):
        devices.skin_leads(canvas, rng, None)
    if rng.random() < 0.12:
        side = str(rng.choice(SIDES))
        opacities.band(canvas, rng, side, None, rng.uniform(12, 30), rng.uniform(1.0, 2.0))
    if rng.random() < 0.08:
        opacities.nodule(canvas, rng, str(rng.choice(SIDES)), None, rng.uniform(2, 4), 2.0)
    for side in SIDES:
        if rng.random() < 0.3:
            density = rng.uniform(0.03, 0.1)
            opacities.airspace(canvas, rng, side, "base", density, (40, 35, 40))


def _breasts(canvas: Canvas, rng: np.random.Generator) -> None:
    """Lay two breasts before the chest: dense towards their lower, sharper edge."""
    size = canvas.patient.breasts
    for out in (-1, 1):
        place = (80.0, 35 + rng.normal(0, 6), out * (82 + rng.normal(0, 5)))
        half_width, half_height, thickness = 58 * size**0.3, 62 * size**0.3, 26 * size
        window = canvas.window(place, (1, half_height, half_width))
        _, down, across = canvas.places(window)
        z, x = (down - place[1]) / half_height, (across - place[2]) / half_width
        profile = np.maximum(1 - x**2 - z**2, 0) ** 0.6 * (0.6 + 0.4 * z)
        layers = window[0].stop - window[0].start
        values = profile * np.float32(thickness / 10 / layers)
        canvas.add(window, np.broadcast_to(values, (layers, *values.shape[1:])))
