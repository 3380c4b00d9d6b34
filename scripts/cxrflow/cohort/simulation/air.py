"""Air where none belongs inside the trunk: in the mediastinum and under the diaphragm.

Air takes tissue away: what is drawn here is negative, and never more than what lies there.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cxrflow.cohort.simulation.anatomy import Bytes, Floats
from cxrflow.cohort.simulation.canvas import HEAD, MOST, Canvas, Window, curve, ramp, rod
from cxrflow.cohort.simulation.landmarks import SIDES, Lung
from cxrflow.cohort.simulation.projection import Part

Doubles = NDArray[np.float64]
Streak = tuple[Doubles, Doubles]  # points (places, 3) and radii (places), mm

NECK = 20.0  # mm of depth: where the neck lies


def pneumomediastinum(canvas: Canvas, rng: np.random.Generator, amount: float) -> list[Part]:
    """Draw air along the mediastinum: a dark line beside heart and aorta with the lifted pleura outside it, and
    streaks that climb into the neck."""
    both = rng.random() < 0.3 + 0.3 * amount
    sides = SIDES if both else (("left",) if rng.random() < 0.8 else ("right",))
    lines = {side: _border_line(canvas, rng, side) for side in sides}
    width = rng.uniform(0.7, 1.1) + 0.9 * amount
    streaks = [
        (line - [0, 0, canvas.lung(side).outward * 1.1 * width], _uneven(rng, len(line), width))
        for side, line in lines.items()
    ]
    air = _carve_streaks(canvas, rng, streaks, (0.5 + 0.5 * amount) * canvas.strength)
    neck = _carve_streaks(
        canvas, rng, _climbing_streaks(canvas, rng, 3 + int(6 * amount)), (0.45 + 0.4 * amount) * canvas.strength
    )
    return [air, neck, *(_lifted_pleura(canvas, rng, side, line) for side, line in lines.items())]


def pneumoperitoneum(canvas: Canvas, rng: np.random.Generator, side: str, amount: float) -> list[Part]:
    """Draw a crescent of free air between a dome of the diaphragm, a thin white line, and what lies below it."""
    lung = canvas.lung(side)
    depth, down, across = canvas.anatomy.axes()
    under = _under_lung(lung.share, canvas.anatomy.heart, down)
    top, column = _dome(lung, under, depth, across, rng.uniform(52, 72))
    thick, half_width = rng.uniform(3, 7) + 15 * amount, rng.uniform(22, 36) + 18 * amount
    reach = (rng.uniform(26, 40), thick + 45, half_width)
    window = canvas.window((float(depth[top]), float(under[top, column]), float(across[column])), reach)
    away2 = ((depth[window[0], None] - depth[top]) / reach[0]) ** 2
    away2 = away2 + ((across[None, window[2]] - across[column]) / half_width) ** 2
    thickness = (thick * np.clip(1 - away2, 0, None) ** rng.uniform(0.6, 1.0)).astype(np.float32)
    upper = under[window[0], window[2]] + np.float32(rng.uniform(1.8, 3.2))
    below = down[window[1]][None, :, None] - upper[:, None, :]
    soft = 0.6 + 0.5 * np.clip(np.abs(np.gradient(upper, axis=0)), 0, 12)[:, None, :]  # mm; or slabs show as a comb
    share = ramp(below / soft, 1) * ramp((thickness[:, None, :] - below) / soft, 1.5) * (thickness > 0.4)[:, None, :]
    share = share * (1 - lung.share[window]) * np.float32(MOST * min(canvas.strength, 1.0))
    return [canvas.carve(window, share * canvas.volume[window])]


def border(canvas: Canvas, side: str, level: float) -> float:
    """Return where (mm) the mediastinum ends towards one lung at the height `level`, as a radiograph shows it.

    It is the first place beside the midline where the rays meet more than half of the air that they meet in the
    clearest part of that lung at that height, among all that was drawn so far.
    """
    lung = canvas.lung(side)
    _, down, across = canvas.anatomy.axes()
    row = int(np.abs(down - level).argmin())
    rows = slice(max(row - 1, 0), row + 2)
    full = np.float32(canvas.slab_cm * canvas.patient.depth)
    air = lung.share[:, rows].mean(axis=1) * np.clip(full - canvas.volume[:, rows].mean(axis=1), 0, None)
    total = ndimage.uniform_filter1d(air.sum(axis=0), 5)
    found = (across * lung.outward)[(total > 0.5 * total.max()) & (across * lung.outward > 0)]
    return float(lung.outward * (found.min() if len(found) else abs(lung.hilum[2])))


def _carve_streaks(canvas: Canvas, rng: np.random.Generator, streaks: list[Streak], water_cm: float) -> Part:
    """Take away sheets of air seen on edge along curves, three slabs deep, soft at their edges."""
    places = np.concatenate([points for points, _ in streaks])
    deep = canvas.anatomy.spacing[0]
    low, high = places.min(axis=0), places.max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2 + np.array([1.6 * deep, 7, 7])
    window = canvas.window(tuple(middle.tolist()), tuple(half.tolist()))
    air = np.zeros(tuple(part.stop - part.start for part in window), dtype=np.float32)
    for points, radii in streaks:
        inner, drawn = rod(canvas, points, radii, water_cm * rng.uniform(0.6, 1.1))
        for shift in (-1, 0, 1):
            _merge(air, window, inner, drawn, shift)
    sigma = [0.0, *(0.8 / step for step in canvas.anatomy.spacing[1:])]
    return canvas.carve(window, ndimage.gaussian_filter(air, sigma))


def _merge(air: Floats, window: Window, inner: Window, drawn: Floats, shift: int) -> None:
    """Lay what was drawn in one window into a larger one, moved by `shift` slabs; what falls outside is dropped."""
    into, of = [], []
    for outer, part, move in zip(window, inner, (shift, 0, 0), strict=True):
        first, last = max(part.start + move, outer.start), min(part.stop + move, outer.stop)
        into.append(slice(first - outer.start, max(last, first) - outer.start))
        of.append(slice(first - part.start - move, max(last, first) - part.start - move))
    target = air[tuple(into)]
    np.maximum(target, drawn[tuple(of)], out=target)


def _climbing_streaks(canvas: Canvas, rng: np.random.Generator, count: int) -> list[Streak]:
    """Streaks in the upper mediastinum, most of them as far as the neck, beside the trachea and the great vessels."""
    apex = min(canvas.lung(side).apex for side in SIDES)
    streaks = []
    for _ in range(count):
        bottom = apex + rng.uniform(5, 60)
        place, lean = rng.choice([-1, 1]) * rng.uniform(4, 28) - 6, rng.normal(0, 0.15)
        levels = np.linspace(bottom, max(bottom - rng.uniform(30, 90), HEAD), 5)
        across = place + lean * (levels - bottom) + rng.normal(0, 1.5, 5)
        points = curve([(NECK, level, x) for level, x in zip(levels.tolist(), across.tolist(), strict=True)])
        streaks.append((points, _uneven(rng, len(points), rng.uniform(0.5, 1.5))))
    return streaks


def _border_line(canvas: Canvas, rng: np.random.Generator, side: str) -> Doubles:
    """Curve along the mediastinum's border from about the arch of the aorta down to the side of the heart."""
    lung = canvas.lung(side)
    height = lung.base - lung.apex
    first, last = lung.apex + rng.uniform(0.16, 0.36) * height, lung.apex + rng.uniform(0.55, 0.74) * height
    levels = np.linspace(first, last, 24)
    places = ndimage.gaussian_filter1d(
        ndimage.median_filter([border(canvas, side, level) for level in levels], 5), 1.5, mode="nearest"
    )
    depth = canvas.landmarks.heart[0] - rng.uniform(0, 15)
    return curve([(depth, level, place) for level, place in zip(levels.tolist(), places.tolist(), strict=True)])


def _lifted_pleura(canvas: Canvas, rng: np.random.Generator, side: str, line: Doubles) -> Part:
    """Draw the thin white line of the pleura that the air has lifted off the mediastinum."""
    outside = line + np.array([0.0, 0.0, canvas.lung(side).outward * rng.uniform(0.4, 1.2)])
    return canvas.add(*rod(canvas, outside, 0.5, rng.uniform(0.2, 0.5) * canvas.strength))


def _uneven(rng: np.random.Generator, count: int, radius: float) -> Doubles:
    """Radii (mm) along a streak: thinner towards both ends, uneven between."""
    along = np.linspace(0, 1, count)
    waves = 1 + 0.3 * np.sin(rng.uniform(3, 9) * along + rng.uniform(0, 6.3))
    waves += 0.2 * np.sin(rng.uniform(12, 30) * along + rng.uniform(0, 6.3))
    return np.asarray(radius * np.maximum(waves, 0.35) * np.minimum(1, 8 * np.minimum(along, 1 - along) + 0.25))


def _under_lung(share: Floats, heart: Bytes, down: Floats) -> Floats:
    """Millimetres down at which the lung ends on the diaphragm in each slab and column, smoothed.

    Where there is no lung, or the heart below it, the value is far below everything.
    """
    inside = share > 0.5
    last = inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
    known = inside.any(axis=1) & ~(heart > 127).any(axis=1)
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    smooth = ndimage.gaussian_filter(down[last[tuple(nearest)]], (1.5, 5.0))
    return np.where(known, smooth, np.float32(1e3)).astype(np.float32)


def _dome(lung: Lung, under: Floats, depth: Floats, across: Floats, out: float) -> tuple[int, int]:
    """Slab and column of the top of the diaphragm's dome, `out` mm from the midline."""
    inner = np.abs(across - lung.outward * out) < 12
    deep = np.flatnonzero((depth > 0.75 * lung.back) & (depth < 0.75 * lung.front))
    levels = under[np.ix_(deep, inner)].mean(axis=1)
    return int(deep[levels.argmin()]), int(np.abs(across - lung.outward * out).argmin())
