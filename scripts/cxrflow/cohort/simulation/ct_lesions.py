"""Lesions in Hounsfield units: an uneven ellipsoid with a soft edge and a texture, as each type's tissue shows them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrflow.cohort.labels import LESION_TYPES
from cxrflow.cohort.simulation.ct_volume import CtVolume, Floats

Doubles = NDArray[np.float64]
Place = tuple[float, float, float]

MUSCLE, BRIGHTEST = 57.0, 700.0  # HU
LEAST_CONTRAST = 30.0  # HU between a lesion and what it lies in
OVERGROWTH = 1.25  # of the room in its tissue: a larger lesion would be all tissue border
_BORDER_WAVES, _TEXTURE_WAVES = 9, 14


@dataclass(frozen=True)
class Look:
    """How lesions of one type look: diameters (mm), densities (HU; one range is chosen), how uneven the border is (a
    share of the radius), the width of the edge (mm) and the standard deviation of the texture (HU)."""

    diameters: tuple[float, float]
    densities: tuple[tuple[float, float], ...]
    uneven: tuple[float, float]
    edge: float
    texture: float


LOOKS = {
    "lung": Look((12, 50), ((-20, 60), (-20, 60), (-20, 60), (-600, -350)), (0.05, 0.17), 1.2, 25),
    "mediastinum": Look((14, 45), ((30, 75),), (0.05, 0.18), 1.2, 10),
    "liver": Look((14, 65), ((10, 60), (10, 60), (130, 160)), (0.04, 0.16), 2.2, 12),
    "abdomen": Look((14, 55), ((20, 70),), (0.04, 0.15), 1.5, 12),
    "kidney": Look((14, 45), ((0, 15), (25, 60)), (0.03, 0.12), 1.2, 8),
    "soft tissue": Look((14, 55), ((25, 75),), (0.04, 0.15), 1.4, 10),
    "bone": Look((12, 36), ((20, 70), (20, 70), (600, 950)), (0.08, 0.18), 1.0, 30),
}


@dataclass(frozen=True)
class Waves:
    """A smooth random function of place: sines of wave vectors (N, 3), phases and weights (N), of unit variance."""

    vectors: Doubles
    phases: Doubles
    weights: Doubles

    @classmethod
    def draw(cls, rng: np.random.Generator, count: int, lengths: tuple[float, float]) -> "Waves":
        """Draw waves of the given lengths, in the unit of the places, in all directions."""
        directions = rng.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        vectors = directions * (2 * np.pi / rng.uniform(*lengths, size=(count, 1)))
        weights = rng.uniform(0.5, 1, count)
        return cls(vectors, rng.uniform(0, 2 * np.pi, count), weights / np.sqrt((weights**2).sum() / 2))

    def at(self, places: Doubles) -> Doubles:
        """Return the values at places (..., 3)."""
        return np.asarray(np.sin(places @ self.vectors.T + self.phases) @ self.weights)


@dataclass(frozen=True)
class Lesion:
    """One lesion: its tissue (1 to 8), centre (mm from the volume's middle: slice, row, column), half axes (mm), their
    directions (3, 3), density (HU), the width of the edge (mm), and what makes border and texture uneven."""

    code: int
    centre: Place
    half: Doubles
    turn: Doubles
    density: float
    edge: float
    uneven: float
    texture: float
    border: Waves
    grain: Waves

    @property
    def type(self) -> str:
        """Coarse type by its name."""
        return LESION_TYPES[self.code - 1]

    def share(self, places: Doubles) -> Doubles:
        """Return how much of the tissue it replaces at places (..., 3) in millimetres: 1 inside, 0 far outside."""
        inner = (places - np.array(self.centre)) @ self.turn / self.half
        distance = np.sqrt((inner**2).sum(axis=-1))
        outward = (1 + self.uneven * self.border.at(inner) - distance) * self.half.mean()
        return np.asarray(1 / (1 + np.exp(-np.clip(4 * outward / self.edge, -40, 40))))

    def values(self, places: Doubles) -> Doubles:
        """Return its Hounsfield units at places (..., 3)."""
        return self.density + self.texture * self.grain.at(places)


def draw_lesion(volume: CtVolume, kind: str, enhancement: float, growth: float, rng: np.random.Generator) -> Lesion:
    """Draw a lesion of a type at one of its places; `growth` multiplies its size.

    The same `rng` gives the same lesion at another size. Its density keeps LEAST_CONTRAST from what is there when a
    share of `enhancement` of the contrast agent is left.
    """
    look, code = LOOKS[kind], LESION_TYPES.index(kind) + 1
    choices = volume.places[volume.places[:, 0] == code]
    _, *at, room = choices[rng.choice(len(choices), p=_by_room(choices[:, 4]))].tolist()
    half = np.minimum(_radius(look, rng), OVERGROWTH * room + 1) * rng.uniform(0.75, 1.2, 3)
    low, high = look.densities[rng.integers(len(look.densities))]
    middle = (np.array(volume.tissue.shape) - 1) / 2
    z, y, x = ((np.array(at) - middle) * volume.spacing).tolist()
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return Lesion(
        code=code,
        centre=(z, y, x),
        half=half * growth,
        turn=turn,
        density=_standing_out(rng.uniform(low, high), _around(volume, code, at, enhancement)),
        edge=look.edge * rng.uniform(0.8, 1.5),
        uneven=rng.uniform(*look.uneven),
        texture=look.texture * rng.uniform(0.7, 1.3),
        border=Waves.draw(rng, _BORDER_WAVES, (1.2, 3.0)),
        grain=Waves.draw(rng, _TEXTURE_WAVES, (4, 15)),
    )


def toned(hounsfield: Floats, enhancement: float) -> Floats:
    """Return soft tissue (HU) with a share of the scan's contrast agent; its streaks are cut off."""
    soft = np.minimum(hounsfield, BRIGHTEST)
    return np.where(soft > MUSCLE, MUSCLE + np.float32(enhancement) * (soft - MUSCLE), soft)


def _radius(look: Look, rng: np.random.Generator) -> float:
    """Draw a radius (mm), small ones more often."""
    low, high = np.log(look.diameters)
    return float(np.exp(rng.uniform(low, high))) / 2


def _by_room(room: Floats) -> Doubles:
    """Return how likely each place is: more where there is room."""
    weights = room.astype(np.float64)
    return weights / weights.sum()


def _around(volume: CtVolume, code: int, at: list[float], enhancement: float) -> float:
    """Mean of the tissue (HU) within 4 voxels of a place."""
    window = tuple(slice(max(int(place) - 4, 0), int(place) + 5) for place in at)
    own = volume.tissue[window] == code
    values = volume.hounsfield[window][own].astype(np.float32)
    return float((values if LESION_TYPES[code - 1] == "bone" else toned(values, enhancement)).mean())


def _standing_out(density: float, around: float) -> float:
    """Move a density away from that of its surroundings if it is too near."""
    if abs(density - around) >= LEAST_CONTRAST:
        return density
    return around - LEAST_CONTRAST if density < around else around + LEAST_CONTRAST
