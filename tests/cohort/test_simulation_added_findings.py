"""What air outside the lungs and an old aorta must look like, in the volume and in the image, on the phantom."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrflow.cohort.openi_index import IndexedFinding
from cxrflow.cohort.simulation.air import border
from cxrflow.cohort.simulation.anatomy import Anatomy
from cxrflow.cohort.simulation.aorta import arch_level
from cxrflow.cohort.simulation.canvas import MOST, Canvas
from cxrflow.cohort.simulation.deformation import cast_rays
from cxrflow.cohort.simulation.findings import Mark, draw_findings
from cxrflow.cohort.simulation.landmarks import Landmarks, find_landmarks
from cxrflow.cohort.simulation.patient import draw_exposure, draw_patient
from cxrflow.cohort.simulation.phantom import phantom_anatomy
from cxrflow.cohort.simulation.projection import line_integrals
from cxrflow.cohort.simulation.rendering import mark_box

ANATOMY: Anatomy = phantom_anatomy()
LANDMARKS: Landmarks = find_landmarks(ANATOMY)
DEPTH, DOWN, ACROSS = ANATOMY.axes()
SIZE = 128
AIR = ("pneumomediastinum", "pneumoperitoneum", "subcutaneous_emphysema")
FIVE = ("aortic_calcification", *AIR, "tortuous_aorta")


def finding(name: str, side: str | None = None, severity: str | None = None) -> IndexedFinding:
    return IndexedFinding(name, side, None, severity, "")


def canvas(seed: int = 0) -> Canvas:
    return Canvas.of(ANATOMY, LANDMARKS, draw_patient(np.random.default_rng(seed)), 1.0)


def drawn(one: IndexedFinding, seed: int = 0) -> tuple[np.ndarray, list[Mark], np.ndarray]:
    """Change of the volume, marks, and the volume before."""
    page = canvas(seed)
    before = page.volume.copy()
    marks = draw_findings(page, [one], np.random.default_rng(seed))
    return page.volume - before, marks, before


@pytest.mark.parametrize("name", AIR)
def test_air_takes_away_no_more_than_the_tissue_that_was_there(name: str) -> None:
    change, _, before = drawn(finding(name, severity="severe"))
    assert -change.sum() > 10 * np.clip(change, 0, None).sum()  # only the lifted pleura adds a thin line
    assert (before + change).min() >= 0
    assert -change.min() > 0.1
    assert (-change <= before * MOST + 0.02).all()


def test_subcutaneous_air_lies_outside_the_lung_of_its_side() -> None:
    for side, outward in (("left", 1), ("right", -1)):
        change, marks, _ = drawn(finding("subcutaneous_emphysema", side, "severe"))
        weight = -change
        assert weight[..., ACROSS * outward > 0].sum() == pytest.approx(weight.sum(), rel=1e-3)
        lungs = LANDMARKS.lungs["left"].share + LANDMARKS.lungs["right"].share
        assert weight[lungs > 0.5].sum() < 0.2 * weight.sum()
        assert {mark.side for mark in marks} == {side}


def test_more_subcutaneous_air_with_severity() -> None:
    mean = [
        np.mean([-drawn(finding("subcutaneous_emphysema", "left", one), seed)[0].sum() for seed in range(6)])
        for one in ("mild", "severe")
    ]
    assert mean[1] > 1.5 * mean[0] > 0


def test_mediastinal_air_lies_along_the_mediastinum() -> None:
    for seed in range(4):
        change, _, _ = drawn(finding("pneumomediastinum"), seed)
        air = np.clip(-change, 0, None)
        assert air[..., np.abs(ACROSS) < 90].sum() == pytest.approx(air.sum())


def test_free_air_lies_under_the_diaphragm_and_not_in_the_lung() -> None:
    for side, outward in (("left", 1), ("right", -1)):
        change, _, _ = drawn(finding("pneumoperitoneum", side, "severe"))
        lung = LANDMARKS.lungs[side]
        assert -change[lung.share > 0.9].sum() < 0.02 * -change.sum()
        places = np.argwhere(change < 0.5 * change.min())
        assert (ACROSS[places[:, 2]] * outward > 0).all()
        assert (DOWN[places[:, 1]] > (lung.apex + lung.base) / 2).all()


def test_a_tortuous_aorta_takes_the_place_of_left_lung_beside_the_mediastinum() -> None:
    page = canvas()
    level = arch_level(page.lung("left"))
    before = border(page, "left", level)
    volume = page.volume.copy()
    draw_findings(page, [finding("tortuous_aorta", severity="severe")], np.random.default_rng(0))
    change = page.volume - volume
    assert change.min() >= 0
    assert change[LANDMARKS.lungs["left"].share == 0].sum() == pytest.approx(0, abs=1e-3)
    assert border(page, "left", level) > before + 4  # mm: the arch bulges
    assert page.volume.max() <= max(volume.max(), page.slab_cm * page.patient.depth) + 1e-4


def test_the_arch_bulges_more_with_severity() -> None:
    volumes = [
        np.mean([drawn(finding("tortuous_aorta", severity=one), seed)[0].sum() for seed in range(6)])
        for one in ("mild", "moderate", "severe")
    ]
    assert volumes == sorted(volumes)


def test_chalk_is_a_thin_bright_line_on_the_outline_of_the_arch() -> None:
    page = canvas(2)
    edge = border(page, "left", arch_level(page.lung("left")))
    change, _, _ = drawn(finding("aortic_calcification", severity="mild"), 2)
    seen = change.sum(axis=0)
    assert change.min() >= 0
    assert seen.max() > 0.2
    places = np.argwhere(seen > 0.5 * seen.max())
    assert (np.abs(ACROSS[places[:, 1]] - (edge - 10)) < 26).all()
    assert (seen > 0.3 * seen.max()).sum() * ANATOMY.spacing[1] * ANATOMY.spacing[2] < 1500  # mm2


def test_chalk_follows_the_outline_of_a_bent_aorta() -> None:
    findings = [finding("aortic_calcification"), finding("tortuous_aorta", severity="severe")]
    rightmost = {}
    for name, chosen in (("alone", findings[:1]), ("both", findings)):
        places = []
        for seed in range(8):
            page = canvas(seed)
            (chalk,) = [
                mark
                for mark in draw_findings(page, chosen, np.random.default_rng(seed))
                if mark.finding == "aortic_calcification"
            ]
            part = chalk.parts[0]
            column = part.corner[2] + np.flatnonzero(part.values.sum(axis=(0, 1)))[-1]
            places.append(ACROSS[column])
        rightmost[name] = np.mean(places)
    assert rightmost["both"] > rightmost["alone"] + 3  # mm


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(FIVE), st.integers(0, 999))
def test_boxes_lie_in_the_image_around_what_was_drawn(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    page = Canvas.of(ANATOMY, LANDMARKS, draw_patient(rng), 1.0)
    before = page.volume.copy()
    marks = draw_findings(page, [finding(name)], rng)
    exposure = draw_exposure(rng, bedside=False, height=page.patient.height)
    rays = cast_rays(ANATOMY, LANDMARKS, page.patient, exposure, SIZE)
    change = np.abs(line_integrals(page.volume, rays) - line_integrals(before, rays))
    boxes = [box for mark in marks if (box := mark_box(mark, page, rays)) is not None]
    assert boxes
    inside = np.zeros((SIZE, SIZE), dtype=bool)
    for box in boxes:
        assert min(box.w, box.h) > 0
        assert 0 <= box.x <= box.x + box.w <= SIZE
        assert 0 <= box.y <= box.y + box.h <= SIZE
        inside[box.y : box.y + box.h, box.x : box.x + box.w] = True
    assert change[~inside].max() < 0.5 * change.max()
    assert change[inside].sum() > 0.7 * change.sum()


def test_severities_and_sides_vary_without_being_named() -> None:
    marks = [drawn(finding("pneumoperitoneum"), seed)[1] for seed in range(20)]
    assert {tuple(mark.side for mark in found) for found in marks} == {("left",), ("right",), ("left", "right")}
