"""CT slices of one study: the body deformed for its patient, lesions inserted, noise, and what the key slice shows.

A slice stays a slice under the deformation, so only the few around a lesion are ever computed.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

from cxrflow.cohort.simulation.anatomy import Floats
from cxrflow.cohort.simulation.ct_lesions import Doubles, Lesion, draw_lesion, toned
from cxrflow.cohort.simulation.ct_measure import Mask, diameters, padded_box
from cxrflow.cohort.simulation.ct_plan import CtStudy
from cxrflow.cohort.simulation.ct_volume import CtVolume
from cxrflow.cohort.simulation.deformation import CELL, elastic_waves, refine
from cxrflow.cohort.simulation.patient import Patient, draw_patient
from cxrflow.cohort.simulation.rendering import MarkedBox, Rendered
from cxrflow.cohort.simulation.settings import SimulationSettings

SEEN = 0.5  # share of the tissue replaced from which on a pixel is the lesion's
FEWEST_PIXELS = 4  # of a lesion that is seen
_BODY, _LESION, _STUDY, _NOISE = range(411, 415)


@dataclass(frozen=True)
class Scan:
    """How one study was taken: field of view and shift (mm), turn (degrees), noise (HU), how much bigger its lesions
    are than in the patient's other study."""

    field: float
    shift: tuple[float, float]
    turn: float
    noise: float
    growth: float


@dataclass(frozen=True)
class Body:
    """One patient: the shape that radiographs have as well, thickness from front to back, and the share of the scan's
    contrast agent that is left."""

    shape: Patient
    thickness: float
    enhancement: float


def render_study(study: CtStudy, images: list[int], volume: CtVolume, settings: SimulationSettings) -> list[Rendered]:
    """Render the numbered slices of a study as Hounsfield units; boxes are those of the key slice.

    Each slice depends on nothing but the study, its number, the body and the settings.
    """
    body = _draw_body(np.random.default_rng([settings.seed, _BODY, study.patient]), study.sex)
    scan = draw_scan(study, settings)
    seed = (settings.seed, _LESION, study.patient)
    lesions = [
        draw_lesion(volume, kind, body.enhancement, scan.growth, np.random.default_rng([*seed, number]))
        for number, kind in enumerate(study.types)
    ]
    grids = Grids.of(body, scan, settings.size)
    rendered = []
    for image in images:
        number = study.slices[image]
        height = lesions[study.shown].centre[0] + (number - study.key) * study.spacing / body.shape.height
        pixels, masks = _slice(height, grids, body, lesions, volume, settings.finding_strength)
        rng = np.random.default_rng([settings.seed, _NOISE, study.patient, study.study, image])
        boxes = _marked(lesions, masks, height, volume) if number == study.key else ()
        rendered.append(Rendered(pixels + _noise(rng, settings.size, scan.noise), boxes))
    return rendered


@dataclass(frozen=True)
class Grids:
    """Where every pixel of a slice lies in the body, in millimetres from its middle (rows, columns, 2: column, row):
    `base`, and `slope` for every 100 mm towards the feet."""

    base: torch.Tensor
    slope: torch.Tensor

    @classmethod
    def of(cls, body: Body, scan: Scan, size: int) -> "Grids":
        """Lay the pixels of one study's slices through the body: turned, stretched and waved."""
        line = np.linspace(0.5 / size - 0.5, 0.5 - 0.5 / size, size // CELL + 1) * scan.field
        down, across = np.meshgrid(line, line, indexing="ij")
        cosine, sine = np.cos(np.deg2rad(scan.turn)), np.sin(np.deg2rad(scan.turn))
        x, y = cosine * across - sine * down + scan.shift[0], sine * across + cosine * down + scan.shift[1]
        waves, slope = elastic_waves(x, y, body.shape)
        base = np.stack([x / body.shape.width, y / body.thickness], axis=-1) + waves
        return cls(refine(base, size), refine(slope, size))

    def at(self, height: float) -> torch.Tensor:
        """Return the places (rows, columns, 2) in millimetres of a slice at `height` (mm, feet +)."""
        return torch.add(self.base, self.slope, alpha=height / 100)


def _slice(
    height: float, grids: Grids, body: Body, lesions: list[Lesion], volume: CtVolume, strength: float
) -> tuple[Floats, list[Mask]]:
    """Return one slice (size, size) in HU without noise, and where it shows each lesion."""
    flat = grids.at(height)
    extent = volume.millimetres()
    units = (flat / torch.tensor([extent[2] / 2, extent[1] / 2], dtype=torch.float32))[None]
    source, tissue = _source(volume, height)
    pixels = _sampled(_shown(source, tissue, body.enhancement), units, "bilinear") - 1000
    kinds = _sampled(tissue.astype(np.float32), units, "nearest")
    masks = []
    for lesion in lesions:
        share = np.zeros_like(pixels)
        window = _window(lesion, height, flat)
        if window is not None:
            places = _places(flat[window], height)
            own = ndimage.gaussian_filter((kinds[window] == lesion.code).astype(np.float32), 0.6)
            share[window] = lesion.share(places) * own
            change = lesion.values(places) - pixels[window]
            pixels[window] += np.float32(strength) * share[window] * change.astype(np.float32)
        masks.append(share > SEEN)
    return pixels, masks


def _source(volume: CtVolume, height: float) -> tuple[Floats, NDArray[np.uint8]]:
    """Return the body's slice at a height (mm from its middle), and the tissue of its nearest voxels."""
    last = volume.tissue.shape[0] - 1
    place = float(np.clip(height / volume.spacing[0] + last / 2, 0, last))
    lower = min(int(place), last - 1)
    share = np.float32(place - lower)
    above, below = volume.hounsfield[lower : lower + 2].astype(np.float32)
    return above + share * (below - above), volume.tissue[round(place)]


def _shown(source: Floats, tissue: NDArray[np.uint8], enhancement: float) -> Floats:
    """Return HU + 1000, so that nothing is air, with a share of the contrast agent outside of bone."""
    return np.where(tissue == 1, source, toned(source, enhancement)) + np.float32(1000)


def _sampled(source: Floats, units: torch.Tensor, mode: str) -> Floats:
    image = torch.from_numpy(source)[None, None]
    return F.grid_sample(image, units, mode=mode, padding_mode="zeros", align_corners=False)[0, 0].numpy()


def _window(lesion: Lesion, height: float, flat: torch.Tensor) -> tuple[slice, slice] | None:
    """Return the rows and columns of a slice that a lesion can reach; None where it reaches none."""
    reach = 1.6 * float(lesion.half.max()) + 2 * lesion.edge
    _, y, x = lesion.centre
    near = (flat - torch.tensor([x, y], dtype=torch.float32)).abs_().amax(dim=-1).numpy() < reach
    if abs(height - lesion.centre[0]) > reach or not near.any():
        return None
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _places(flat: torch.Tensor, height: float) -> Doubles:
    """Return places (..., 3: slice, row, column) in millimetres from those in a slice (..., 2: column, row)."""
    across, down = flat.double().numpy().transpose(2, 0, 1)
    return np.stack([np.full_like(across, height), down, across], axis=-1)


def _marked(lesions: list[Lesion], masks: list[Mask], height: float, volume: CtVolume) -> tuple[MarkedBox, ...]:
    """Return a box per lesion that is seen; its text: the ends of its diameters, and where in the body it lies."""
    boxes = []
    for lesion, seen in zip(lesions, masks, strict=True):
        if seen.sum() >= FEWEST_PIXELS:
            places = (lesion.centre[2], lesion.centre[1], height)
            extent = volume.millimetres()[::-1]
            location = [place / length + 0.5 for place, length in zip(places, extent, strict=True)]
            written = [", ".join(f"{value:.6g}" for value in values) for values in (diameters(seen).ravel(), location)]
            boxes.append(MarkedBox(lesion.type, "; ".join(written), padded_box(seen)))
    return tuple(boxes)


def _noise(rng: np.random.Generator, size: int, deviation: float) -> Floats:
    """Return the noise (HU) of a slice: smooth over about a pixel, as reconstruction filters leave it."""
    smooth = ndimage.gaussian_filter(rng.standard_normal((size, size), dtype=np.float32), 0.7, truncate=2.0)
    return smooth * np.float32(deviation / smooth.std())


def _draw_body(rng: np.random.Generator, sex: str) -> Body:
    shape = draw_patient(rng, sex)
    plain = rng.random() < 0.4
    enhancement = 0.08 if plain else rng.uniform(0.3, 1.0)
    return Body(shape, thickness=shape.width * rng.uniform(0.9, 1.12), enhancement=enhancement)


def draw_scan(study: CtStudy, settings: SimulationSettings) -> Scan:
    """Draw how a study was taken."""
    rng = np.random.default_rng([settings.seed, _STUDY, study.patient, study.study])
    return Scan(
        field=rng.uniform(310, 370),
        shift=(rng.normal(0, 6), rng.normal(0, 6)),
        turn=rng.normal(0, 2.5),
        noise=rng.uniform(6, 20),
        growth=rng.uniform(0.8, 1.25),
    )
