"""One study rendered: its patient, findings, and for each image the JPEG file and the boxes."""

from dataclasses import dataclass

import numpy as np

from cxrflow.cohort.openi_index import LABEL_OF
from cxrflow.cohort.simulation.anatomy import Anatomy, Floats
from cxrflow.cohort.simulation.canvas import Canvas
from cxrflow.cohort.simulation.deformation import Rays, cast_rays
from cxrflow.cohort.simulation.findings import Mark, draw_findings, shaped
from cxrflow.cohort.simulation.landmarks import Landmarks
from cxrflow.cohort.simulation.patient import draw_exposure, draw_patient
from cxrflow.cohort.simulation.projection import Box, Part, line_integrals, part_box
from cxrflow.cohort.simulation.radiograph import draw_detector, encode_jpeg, expose
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.studies import Study
from cxrflow.cohort.simulation.variants import draw_variants

_BODY, _FINDINGS, _VARIANTS, _IMAGE = range(201, 205)
_BEDSIDE = {"edema", "heart_failure"}


@dataclass(frozen=True)
class MarkedBox:
    """A finding's box in one image, under the label that it makes positive."""

    label: str
    text: str
    box: Box


@dataclass(frozen=True)
class Rendered:
    """One image: the file's bytes and what it shows where."""

    jpeg: bytes
    boxes: tuple[MarkedBox, ...]


def is_bedside(study: Study) -> bool:
    """Tell whether the study's findings are those of a patient who can't stand: AP views are likely."""
    tubes = any(one.finding == "device" and one.site == "tube" for one in study.findings)
    return tubes or any(one.finding in _BEDSIDE for one in study.findings)


def study_view(study: Study, image: int, settings: SimulationSettings) -> str:
    """Return the view ('PA' or 'AP') of one image of a study without rendering it."""
    return draw_exposure(_image_rng(study, image, settings), is_bedside(study), 1.0).view


def render_study(
    study: Study, images: list[int], anatomy: Anatomy, landmarks: Landmarks, settings: SimulationSettings
) -> list[Rendered]:
    """Render the numbered images of a study; each depends on nothing but the study, its number and the settings."""
    uid = int(study.report.uid)
    body = draw_patient(np.random.default_rng([settings.seed, _BODY, study.patient]))
    rng = np.random.default_rng([settings.seed, _FINDINGS, uid])
    patient = shaped(body, study.findings, rng)
    canvas = Canvas.of(anatomy, landmarks, patient, settings.finding_strength)
    marks = draw_findings(canvas, study.findings, rng)
    draw_variants(canvas, np.random.default_rng([settings.seed, _VARIANTS, uid]), is_bedside(study))
    return [_render_image(study, image, canvas, marks, settings) for image in images]


def _render_image(
    study: Study, image: int, canvas: Canvas, marks: list[Mark], settings: SimulationSettings
) -> Rendered:
    rng = _image_rng(study, image, settings)
    exposure = draw_exposure(rng, is_bedside(study), canvas.patient.height)
    detector = draw_detector(rng, exposure.view, settings.size)
    rays = cast_rays(canvas.anatomy, canvas.landmarks, canvas.patient, exposure, settings.size)
    shown = expose(line_integrals(canvas.volume, rays), detector, rng)
    boxes = [
        MarkedBox(LABEL_OF[mark.finding][0], mark.text, box)
        for mark in marks
        if (box := mark_box(mark, canvas, rays)) is not None
    ]
    return Rendered(encode_jpeg(shown, settings.jpeg_quality), tuple(boxes))


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


def _image_rng(study: Study, image: int, settings: SimulationSettings) -> np.random.Generator:
    return np.random.default_rng([settings.seed, _IMAGE, int(study.report.uid), image])
