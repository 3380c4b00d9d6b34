"""Findings of the pleural space: fluid, air, thickening."""

import numpy as np
from scipy import ndimage

from cxrflow.cohort.simulation.anatomy import Floats
from cxrflow.cohort.simulation.canvas import Canvas, ramp, smooth_noise
from cxrflow.cohort.simulation.opacities import whole_lung
from cxrflow.cohort.simulation.projection import Part


def effusion(canvas: Canvas, rng: np.random.Generator, side: str, height: float) -> Part:
    """Fill the dependent pleural space with fluid up to `height` mm above the lung's base.

    The surface climbs along the lateral and the posterior wall: the meniscus of an upright patient. The deep recess
    behind the diaphragm, which this scan of a lying patient has wide open, takes only part of the fluid.
    """
    window = whole_lung(canvas, side)
    lung = canvas.lung(side)
    rise = rng.uniform(22, 45)
    top = lung.base - height - rise * 1.6
    first = int(np.searchsorted(canvas.anatomy.axes()[1], top))
    window = (window[0], slice(max(first, window[1].start), window[1].stop), window[2])
    depth, down, across = canvas.places(window)
    wall = np.nan_to_num(lung.wall, nan=lung.outward * 1e3)[window[0], window[1], None]
    inward = np.maximum((wall - across) * lung.outward, 0)
    climb = rise * np.exp(-inward / np.float32(rng.uniform(12, 26)))
    climb = climb + 0.6 * rise * np.exp(-(depth - lung.back) / np.float32(rng.uniform(15, 30)))
    slope = rng.normal(0, 0.06) * across
    surface = np.float32(lung.base - height) - climb + slope + 2 * smooth_noise(rng, (1, 1, across.size), (1, 1, 4))
    fluid = ramp(down - surface, rng.uniform(4.0, 9.0)) * lung.share[window]
    thickness = lung.thickness[window[1:]]
    seen = 0.3 + 0.7 * np.clip(thickness / (0.45 * lung.thickness.max()), 0, 1)
    amount = np.float32(rng.uniform(0.6, 0.95) * min(canvas.strength, 1.2))
    return canvas.add(window, fluid * canvas.room(window) * seen * amount)


def pneumothorax(canvas: Canvas, rng: np.random.Generator, side: str, width: float) -> Part:
    """Collapse the lung by up to `width` mm from apex and lateral wall: clear air, a pleural line, a denser lung."""
    window = whole_lung(canvas, side)
    lung = canvas.lung(side)
    share = lung.share[window]
    away = _from_wall(share, lung.outward, canvas.anatomy.spacing[1:])
    down = canvas.places(window)[1][0]
    height = np.clip((down - lung.apex) / (lung.base - lung.apex), 0, 1)
    edge = width * (1.15 - rng.uniform(0.7, 1.5) * height) + 1.5 * smooth_noise(rng, (1, *away.shape), (1, 5, 4))[0]
    air = ramp(edge - away, 0.7) * (edge > 1.0)
    air *= np.clip(4 * lung.thickness[window[1:]] / lung.thickness.max() - 0.6, 0, 1)  # not in the recess below
    line = np.exp(-(((away - edge) / 0.9) ** 2)) * (edge > 2.0) * (away > 1.0)
    tissue = canvas.anatomy.lung[window] * (share > 0)
    column = np.maximum(share.sum(axis=0), 1.0)
    clear = -air[None] * tissue * np.float32(canvas.patient.lung * 0.97)
    pleura = (line / column)[None] * share * np.float32(rng.uniform(0.4, 0.8))
    collapse = (1 - air)[None] * tissue * np.float32(width / 90)
    part = canvas.add(window, (clear + pleura) * np.float32(min(canvas.strength, 1.0)))
    canvas.add(window, collapse)
    return part


def thickening(canvas: Canvas, rng: np.random.Generator, side: str, site: str | None) -> Part:
    """Thicken the pleura along the lateral wall, or over the apex as a cap."""
    window = whole_lung(canvas, side)
    lung = canvas.lung(side)
    share = lung.share[window]
    away = _from_wall(share, lung.outward, canvas.anatomy.spacing[1:])
    down = canvas.places(window)[1][0]
    height = (down - lung.apex) / (lung.base - lung.apex)
    middle = 0.03 if site in ("apex", "upper") else rng.uniform(0.55, 0.8)
    thickness = rng.uniform(4, 9) * np.exp(-(((height - middle) / 0.14) ** 2))
    peel = ramp(thickness - away, 1.0) * (thickness > 0.8)
    values: Floats = peel[None] * share * np.float32(0.5 * canvas.slab_cm * canvas.strength)
    return canvas.add(window, values)


def _from_wall(share: Floats, outward: int, spacing: tuple[float, float]) -> Floats:
    """Millimetres (rows, columns) to the lateral wall or the apex of the lung's frontal outline, 0 outside it.

    The outline is filled towards the mediastinum and the feet, so that only wall and apex count as its edge.
    """
    outline = (share > 0.5).any(axis=0)
    outline = np.maximum.accumulate(outline[:, ::-outward], axis=1)[:, ::-outward]
    outline = np.maximum.accumulate(outline, axis=0)
    padded = np.pad(outline, ((1, 40), (60, 60)), mode="edge")
    padded[0] = False
    lateral = slice(-60, None) if outward > 0 else slice(None, 60)
    padded[:, lateral] = False
    distance = ndimage.distance_transform_edt(padded, sampling=spacing)
    return distance[1:-40, 60:-60].astype(np.float32)
