"""Things that people put in: lines, tubes, pacemakers, wires, clips. Also the leads that only lie on the skin."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cxrflow.cohort.simulation.canvas import Canvas, Point, chord, curve, edge, wire
from cxrflow.cohort.simulation.projection import Part

_FRONT, _SKIN = 62.0, 85.0  # mm before the central ray: behind the sternum, before it


def central_line(canvas: Canvas, rng: np.random.Generator, side: str | None) -> list[Part]:
    """Draw a central venous catheter: from neck, chest or arm into the superior vena cava, sometimes with a port."""
    out = _outward(rng, side, right=0.65)
    tip: Point = (10, rng.uniform(-40, 20), rng.uniform(-34, -20))
    entry: list[Point]
    kind = rng.choice(["neck", "chest", "arm"])
    if kind == "neck":
        entry = [(20, -170, out * 42), (15, -120, out * 34)]
    elif kind == "chest":
        entry = [(_SKIN, -45 + rng.normal(0, 8), out * 82), (60, -100, out * 72), (25, -104, out * 45)]
    else:
        entry = [(0, -75 + rng.normal(0, 8), out * 170), (10, -100, out * 105), (20, -104, out * 60)]
    path = curve([*entry, (15, -92, out * 20 - 12), (12, -72, -25), tip])
    parts = [wire(canvas, path, rng.uniform(1.1, 1.8), rng.uniform(1.6, 3.0) * canvas.strength)]
    if kind == "chest" and rng.random() < 0.6:
        parts.append(_disc(canvas, entry[0], rng.uniform(9, 13), 1.2 * canvas.strength))
    return parts


def pacemaker(canvas: Canvas, rng: np.random.Generator, side: str | None) -> list[Part]:
    """Draw a generator under the clavicle with one to three leads to the heart."""
    out = _outward(rng, side, right=0.12)
    place: Point = (_SKIN, rng.uniform(-82, -58), out * rng.uniform(74, 96))
    parts = [_generator(canvas, rng, place)]
    tips: list[Point] = [(20, 52, 48), (25, 22, -22), (-10, 25, 62)]
    for tip in tips[: int(rng.integers(1, 4))]:
        end: Point = (tip[0], tip[1] + rng.normal(0, 6), tip[2] + rng.normal(0, 6))
        loop: Point = (40, -104 + rng.normal(0, 4), out * 48)
        middle: list[Point] = [(15, -92, out * 18 - 12), (12, -60, -27), (12, -15, -28)]
        path = curve([(place[0], place[1] - 12, place[2] - out * 8), loop, *middle, end])
        parts.append(wire(canvas, path, rng.uniform(0.7, 1.1), rng.uniform(0.9, 1.6) * canvas.strength))
    return parts


def sternal_wires(canvas: Canvas, rng: np.random.Generator, side: str | None) -> list[Part]:
    """Draw the wire loops that close a sternotomy, with clips of bypass grafts beside the heart."""
    count = int(rng.integers(4, 8))
    parts = []
    for level in np.linspace(-78, 42, count) + rng.normal(0, 2.5, count):
        width, height = rng.uniform(5, 9), rng.uniform(2, 4)
        turn = np.linspace(0, 2 * np.pi, 90)
        middle = rng.normal(2, 2.0)
        loop = np.stack(
            [np.full_like(turn, _FRONT), level + height * np.sin(turn), middle + width * np.cos(turn)], axis=1
        )
        parts.append(wire(canvas, loop, 0.6, rng.uniform(2.2, 3.8) * canvas.strength))
        tail: list[Point] = [(_FRONT, level, middle), (_FRONT, level + rng.normal(0, 5), middle + rng.normal(0, 4))]
        parts.append(wire(canvas, curve(tail), 0.8, 2.2 * canvas.strength))
    if rng.random() < 0.6:
        parts += _clips(canvas, rng, (20, -10, 38), (40, 35, 22), int(rng.integers(3, 9)))
    return parts


def valve(canvas: Canvas, rng: np.random.Generator, side: str | None) -> list[Part]:
    """Draw a prosthetic heart valve with the wires of its operation."""
    turn = np.linspace(0, 2 * np.pi, 200)
    tall, broad = rng.uniform(10, 14), rng.uniform(6, 12)
    angle = rng.uniform(0, np.pi)
    x, z = broad * np.cos(turn), tall * np.sin(turn)
    across = 12 + rng.normal(0, 6) + np.cos(angle) * x - np.sin(angle) * z
    down = 12 + rng.normal(0, 8) + np.sin(angle) * x + np.cos(angle) * z
    ring = np.stack([np.full_like(turn, 25.0), down, across], axis=1)
    return [wire(canvas, ring, 1.0, 1.8 * canvas.strength), *sternal_wires(canvas, rng, None)]


def endotracheal_tube(canvas: Canvas, rng: np.random.Generator, side: str | None) -> list[Part]:
    """Draw a tube in the trachea, its tip above the carina, with a dense stripe along its wall."""
    tip: Point = (-8, rng.uniform(-85, -55), rng.normal(-8, 2))
    path = curve([(20, -180, -4), (5, -130, -5), tip])
    wall = path + np.array([0.0, 0.0, rng.choice([-3.2, 3.2])])
    tube = wire(canvas, path, 4.4, 0.4 * canvas.strength)
    return [tube, wire(canvas, wall, 0.8, rng.uniform(1.0, 1.8) * canvas.strength)]


def feeding_tube(canvas: Canvas, rng: np.random.Generator, side: str | None) -> list[Part]:
    """Draw a tube down the oesophagus into the stomach."""
    end: Point = (10, rng.uniform(110, 150), rng.uniform(35, 75))
    path = curve([(10, -180, 2), (-25, -80, 3), (-30, 0, 4), (-25, 62, 10), (-10, 92, 26), end])
    return [wire(canvas, path, rng.uniform(1.4, 2.2), rng.uniform(1.0, 1.8) * canvas.strength)]


def chest_tube(canvas: Canvas, rng: np.random.Generator, side: str | None) -> list[Part]:
    """Draw a drain from the lateral chest wall up along the pleura."""
    out = _outward(rng, side, right=0.5)
    tip: Point = (10, rng.uniform(-95, -40), out * rng.uniform(45, 75))
    path = curve([(0, 75, out * 170), (5, 50, out * 122), (10, 0, out * 108), tip])
    return [wire(canvas, path, rng.uniform(2.5, 3.5), rng.uniform(0.8, 1.4) * canvas.strength)]


def clips(canvas: Canvas, rng: np.random.Generator, side: str | None, path: str = "") -> list[Part]:
    """Draw a handful of surgical clips where the index says: abdomen, neck, breast, hilum or mediastinum."""
    out = _outward(rng, side, right=0.6)
    if "abdomen" in path:
        middle, spread = (30.0, 122.0, -48.0), (15.0, 10.0, 14.0)
    elif "neck" in path:
        middle, spread = (10.0, -132.0, out * 18.0), (10.0, 8.0, 14.0)
    elif "hilum" in path or "lung" in path:
        middle, spread = (0.0, -15.0, out * 48.0), (15.0, 18.0, 14.0)
    elif "mediastinum" in path or "heart" in path:
        middle, spread = (25.0, -20.0, 22.0), (25.0, 35.0, 16.0)
    else:
        middle, spread = (60.0, -30.0 + rng.normal(0, 30), out * 105.0), (15.0, 25.0, 16.0)
    return _clips(canvas, rng, middle, spread, int(rng.integers(4, 10)))


def stent(canvas: Canvas, rng: np.random.Generator, side: str | None) -> list[Part]:
    """Draw a short mesh tube over the heart: a zigzag wire."""
    along = np.linspace(0, 1, 400)
    angle = rng.uniform(0.3, 1.2)
    length, zigzag = rng.uniform(14, 28), 1.8 * np.sign(np.sin(along * 60)) * np.abs(np.sin(along * 60)) ** 0.5
    across = 35 + rng.normal(0, 8) + np.cos(angle) * length * along - np.sin(angle) * zigzag
    down = -8 + rng.normal(0, 8) + np.sin(angle) * length * along + np.cos(angle) * zigzag
    return [wire(canvas, np.stack([np.full_like(along, 30.0), down, across], axis=1), 0.7, 2.0 * canvas.strength)]


def skin_leads(canvas: Canvas, rng: np.random.Generator, side: str | None) -> list[Part]:
    """Draw electrocardiogram leads on the skin: they are no finding and have no box."""
    parts = []
    for out in rng.permutation([-1, 1])[: int(rng.integers(1, 3))]:
        place: Point = (_SKIN, rng.uniform(-80, 60), out * rng.uniform(70, 110))
        parts.append(_disc(canvas, place, rng.uniform(3.5, 6), 0.9))
        bend: Point = (_SKIN, place[1] + rng.uniform(20, 60), place[2] + out * rng.uniform(-30, 30))
        end: Point = (_SKIN, rng.uniform(130, 170), out * rng.uniform(40, 140))
        parts.append(wire(canvas, curve([place, bend, end]), 0.8, rng.uniform(0.4, 0.8)))
    return parts


Device = Callable[[Canvas, np.random.Generator, str | None], list[Part]]
_BY_KIND: dict[str, tuple[Device, ...]] = {
    "catheter": (central_line,),
    "implant": (pacemaker,),
    "tube": (endotracheal_tube, feeding_tube, chest_tube),
    "stent": (stent,),
    "suture": (sternal_wires,),
    "device": (central_line, pacemaker, endotracheal_tube, feeding_tube),
}
_BY_WORD: dict[str, Device] = {
    "valve": valve,
    "implanted medical device/heart": valve,
    "instruments/mediastinum": sternal_wires,
    "instruments/heart": sternal_wires,
    "instruments/thorax": sternal_wires,
    "inserted/trachea": endotracheal_tube,
    "inserted/abdomen": feeding_tube,
}


def device(canvas: Canvas, rng: np.random.Generator, side: str | None, kind: str | None, path: str) -> list[Part]:
    """Draw the device that a path of the index names, such as 'Implanted Medical Device/left'."""
    words = path.lower()
    for word, draw in _BY_WORD.items():
        if word in words:
            return draw(canvas, rng, side)
    if kind == "clip":
        return clips(canvas, rng, side, words)
    choices = _BY_KIND[kind or "device"]
    return choices[int(rng.integers(len(choices)))](canvas, rng, side)


def _outward(rng: np.random.Generator, side: str | None, right: float) -> int:
    if side in ("left", "right"):
        return 1 if side == "left" else -1
    return -1 if rng.random() < right else 1


def _disc(canvas: Canvas, place: Point, radius: float, water_cm: float) -> Part:
    window = canvas.window(place, (1, radius + 1, radius + 1))
    _, down, across = canvas.places(window)
    away = np.hypot(down - place[1], across - place[2])
    rim = edge(radius - away, canvas.grain) * (0.6 + 0.4 * (away > radius * 0.7))
    layers = window[0].stop - window[0].start
    return canvas.add(window, np.broadcast_to(rim * water_cm / layers, (layers, *rim.shape[1:])))


def _generator(canvas: Canvas, rng: np.random.Generator, place: Point) -> Part:
    """Draw a rounded metal case with a denser battery half and the clear plastic header above."""
    half = rng.uniform(18, 24)
    window = canvas.window(place, (1, half * 1.3, half * 1.3))
    _, down, across = canvas.places(window)
    angle = rng.normal(0, 0.35)
    x = np.cos(angle) * (across - place[2]) - np.sin(angle) * (down - place[1])
    z = np.sin(angle) * (across - place[2]) + np.cos(angle) * (down - place[1])
    case = (np.abs(x / half) ** 3 + np.abs(z / (half * rng.uniform(0.85, 1.05))) ** 3) ** (1 / 3)
    body = edge((1 - case) * half, canvas.grain)
    inner = 1 + 0.5 * ((z > 0.1 * half) & (case < 0.85)) - 0.5 * (z < -0.62 * half)
    layers = window[0].stop - window[0].start
    values = body * inner * np.float32(6.5 * canvas.strength / layers)
    return canvas.add(window, np.broadcast_to(values, (layers, *values.shape[1:])))


def _clips(canvas: Canvas, rng: np.random.Generator, middle: Point, spread: Point, count: int) -> list[Part]:
    parts = []
    for place in np.array(middle) + rng.normal(0, 1, (count, 3)) * np.array(spread) * 0.6:
        angle, length = rng.uniform(0, np.pi), rng.uniform(4, 8)
        ends: NDArray[np.float64] = np.array([0, np.sin(angle), np.cos(angle)]) * length / 2
        points = place + np.linspace(-1, 1, 16)[:, None] * ends
        parts.append(wire(canvas, points, 0.9, 3.6 * canvas.strength))
    return parts


def nipples(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw nipple shadows, the normal structure that is most often taken for a nodule."""
    for out in (-1, 1):
        place: Point = (_SKIN, 38 + rng.normal(0, 10), out * (80 + rng.normal(0, 8)))
        window = canvas.window(place, (7, 6, 6))
        depth, down, across = canvas.places(window)
        inside = rng.uniform(3, 5) ** 2 - (down - place[1]) ** 2 - (across - place[2]) ** 2
        canvas.add(window, chord(inside, depth, place[0], canvas.anatomy.spacing[0]) * np.float32(0.1))
