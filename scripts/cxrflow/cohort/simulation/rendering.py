"""One scene rendered: its patient, findings, and for each image the pixels and the boxes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrflow.cohort.simulation.anatomy import Anatomy, Floats
from cxrflow.cohort.simulation.canvas import Canvas
from cxrflow.cohort.simulation.deformation import Rays, cast_rays
from cxrflow.cohort.simulation.findings import Mark, draw_findings, shaped
from cxrflow.cohort.simulation.landmarks import Landmarks
from cxrflow.cohort.simulation.patient import Exposure, draw_exposure, draw_patient
from cxrflow.cohort.simulation.projection import Box, Part, line_integrals, part_box
from cxrflow.cohort.simulation.radiograph import draw_detector, expose
from cxrflow.cohort.simulation.scene import Scene
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.variants import draw_variants

_BODY, _FINDINGS, _VARIANTS, _IMAGE = range(201, 205)

Labels = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class MarkedBox:
    """A finding's box in one image, under the label that it makes positive; `text` is what the data set says of it."""

    label: str
    text: str
    box: Box


@dataclass(frozen=True)
class Rendered:
    """One image: its pixels (size, size), 8-bit grey or Hounsfield units, and what it shows where."""

    pixels: NDArray[np.uint8] | Floats
    boxes: tuple[MarkedBox, ...]


def scene_view(scene: Scene, image: int, settings: SimulationSettings) -> str:
    """Return the view ('PA' or 'AP') of one image of a scene without rendering it."""
    return _exposure(scene, _image_rng(scene, image, settings), 1.0).view


def render_scene(
    scene: Scene,
    images: list[int],
    anatomy: Anatomy,
    landmarks: Landmarks,
    labels: Labels,
    settings: SimulationSettings,
) -> list[Rendered]:
    """Render the numbered images of a scene; each depends on nothing but the scene, its number and the settings.

    A finding that `labels` gives a label gets a box under the first of its labels; the others are drawn without one.
    """
    body = draw_patient(np.random.default_rng([settings.seed, _BODY, scene.patient]), scene.sex)
    rng = np.random.default_rng([settings.seed, _FINDINGS, scene.number])
    patient = shaped(body, scene.findings, rng)
    canvas = Canvas.of(anatomy, landmarks, patient, settings.finding_strength)
    marks = [mark for mark in draw_findings(canvas, scene.findings, rng) if labels.get(mark.finding)]
    draw_variants(canvas, np.random.default_rng([settings.seed, _VARIANTS, scene.number]), scene.bedside)
    return [_render_image(scene, image, canvas, marks, labels, settings) for image in images]


def _render_image(
    scene: Scene, image: int, canvas: Canvas, marks: list[Mark], labels: Labels, settings: SimulationSettings
) -> Rendered:
    rng = _image_rng(scene, image, settings)
    exposure = _exposure(scene, rng, canvas.patient.height)
    detector = draw_detector(rng, exposure.view, settings.size)
    rays = cast_rays(canvas.anatomy, canvas.landmarks, canvas.patient, exposure, settings.size)
    shown = expose(line_integrals(canvas.volume, rays), detector, rng)
    boxes = [
        MarkedBox(labels[mark.finding][0], mark.text, box)
        for mark in marks
        if (box := mark_box(mark, canvas, rays)) is not None
    ]
    return Rendered(shown, tuple(boxes))


def _exposure(scene: Scene, rng: np.random.Generator, height: float) -> Exposure:
    return draw_exposure(rng, scene.bedside, height, scene.view)


def mark_box(mark: Mark, canvas: Canvas, rays: Rays) -> Box | None:
    """Return the box around all that a finding changed in the image; for the heart, around its silhouette."""
    parts = mark.parts or (heart_part(canvas),)
    boxes = [box for part in parts if (box := part_box(part, canvas.anatomy.shape, rays, mark.level)) is not None]
    if not boxes:
        return None
    left, top = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(box.x + box.w for box in boxes), max(box.y + box.h for box in boxes)
    return Box(left, top, right - left, bottom - top)


def heart_part(canvas: Canvas) -> Part:
    """Return the heart's own thickness (cm) as a part of the volume."""
    found = [np.flatnonzero(canvas.anatomy.heart.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    window = tuple(slice(int(line[0]), int(line[-1]) + 1) for line in found)
    values: Floats = canvas.anatomy.heart[window] * np.float32(canvas.slab_cm / 255)
    return Part(values, (window[0].start, window[1].start, window[2].start))


def _image_rng(scene: Scene, image: int, settings: SimulationSettings) -> np.random.Generator:
    return np.random.default_rng([settings.seed, _IMAGE, scene.number, image])
