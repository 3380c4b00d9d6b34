"""What each drawn finding must look like in the volume and in the image, on the analytic phantom."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrflow.cohort.openi_index import FINDINGS, LABEL_OF, IndexedFinding
from cxrflow.cohort.simulation.anatomy import Anatomy
from cxrflow.cohort.simulation.canvas import Canvas
from cxrflow.cohort.simulation.deformation import cast_rays
from cxrflow.cohort.simulation.drawers import DRAWERS
from cxrflow.cohort.simulation.findings import NOT_DRAWN, draw_findings, shaped
from cxrflow.cohort.simulation.landmarks import Landmarks, find_landmarks
from cxrflow.cohort.simulation.patient import draw_exposure, draw_patient
from cxrflow.cohort.simulation.phantom import phantom_anatomy
from cxrflow.cohort.simulation.rendering import mark_box
from cxrflow.cohort.simulation.shapes import SHAPES
from cxrflow.cohort.simulation.variants import draw_variants

ANATOMY: Anatomy = phantom_anatomy()
LANDMARKS: Landmarks = find_landmarks(ANATOMY)
SIZE = 128


def finding(name: str, side: str | None = None, severity: str | None = None, path: str = "") -> IndexedFinding:
    return IndexedFinding(name, side, None, severity, path)


def canvas(seed: int = 0) -> Canvas:
    return Canvas.of(ANATOMY, LANDMARKS, draw_patient(np.random.default_rng(seed)), 1.0)


def drawn(one: IndexedFinding, seed: int = 0):
    """Change of the volume, marks, and the canvas of one finding."""
    page = canvas(seed)
    before = page.volume.copy()
    marks = draw_findings(page, [one], np.random.default_rng(seed))
    return page.volume - before, marks, page


def test_every_finding_of_the_index_is_drawn_or_said_not_to_be():
    assert set(FINDINGS) == set(DRAWERS) | set(SHAPES) | set(NOT_DRAWN)
    assert not set(NOT_DRAWN) & (set(DRAWERS) | set(SHAPES))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "name", ["effusion", "consolidation", "nodule", "mass", "atelectasis", "pneumothorax", "edema"]
)
def test_a_finding_stays_in_the_lung_of_its_side(name: str, side: str):
    change, marks, _ = drawn(finding(name, side))
    weight = np.abs(change)
    across = ANATOMY.axes()[2]
    outward = 1 if side == "left" else -1
    assert weight[..., across * outward > 0].sum() > 0.97 * weight.sum() > 0
    assert {mark.side for mark in marks} == {side}


@pytest.mark.parametrize("name", ["effusion", "consolidation", "opacity", "nodule", "mass", "granuloma", "edema"])
def test_fluid_and_tissue_add_attenuation(name: str):
    change, _, _ = drawn(finding(name, "left"))
    assert change.sum() > 0
    assert change.min() >= 0


def test_a_pneumothorax_takes_tissue_away_at_the_apex_and_darkens_it():
    change, (mark,), _ = drawn(finding("pneumothorax", "right", "severe"))
    rows = np.flatnonzero(change.min(axis=(0, 2)) < -0.05)
    lung = LANDMARKS.lungs["right"]
    down = ANATOMY.axes()[1]
    assert down[rows].min() < lung.apex + 0.2 * (lung.base - lung.apex)
    assert sum(part.values.sum() for part in mark.parts) < 0


def test_an_effusion_lies_at_the_base_and_grows_with_severity():
    volumes = []
    for severity in ("mild", "moderate", "severe"):
        change, _, _ = drawn(finding("effusion", "left", severity))
        rows = change.sum(axis=(0, 2))
        down = ANATOMY.axes()[1]
        lung = LANDMARKS.lungs["left"]
        assert (rows @ down) / rows.sum() > (lung.apex + lung.base) / 2
        volumes.append(change.sum())
    assert volumes == sorted(volumes)


def test_a_nodule_has_the_mass_of_its_ellipsoid():
    change, (mark,), page = drawn(finding("mass", "left"))
    element = ANATOMY.spacing[1] * ANATOMY.spacing[2] / 100  # cm2: the change is in cm of water along depth
    cm3 = change.sum() * element
    diameters = [max(part.values.shape[1] * ANATOMY.spacing[1], 1) / 10 for part in mark.parts]
    assert 0.2 * np.pi / 6 * 3.1**3 < cm3 < np.pi / 6 * max(diameters) ** 3
    assert page.volume.max() < 3 * page.slab_cm


def test_findings_of_both_sides_get_a_mark_each():
    _, marks, _ = drawn(finding("edema"))
    assert [mark.side for mark in marks] == ["left", "right"]
    _, marks, _ = drawn(finding("effusion", "bilateral"))
    assert [mark.side for mark in marks] == ["left", "right"]


def test_fluid_leaves_no_room_for_a_second_finding():
    page = canvas()
    rng = np.random.default_rng(1)
    draw_findings(page, [finding("effusion", "left", "severe"), finding("consolidation", "left")], rng)
    lung = LANDMARKS.lungs["left"].share > 0.99
    assert page.volume[lung].max() <= page.slab_cm * page.patient.depth + 1e-4


@pytest.mark.parametrize(
    "path",
    [
        "Catheters, Indwelling/right", "Implanted Medical Device/left", "Implanted Medical Device/aortic valve",
        "Surgical Instruments/mediastinum", "Surgical Instruments/abdomen/right", "Tube, Inserted/trachea",
        "Tube, Inserted", "Stents/coronary vessels", "Sutures/lung/apex/right", "Medical Device",
    ],
)  # fmt: skip
def test_every_kind_of_device_is_denser_than_what_it_covers(path: str):
    from cxrflow.cohort.openi_index import indexed_findings

    (one,) = [found for found in indexed_findings((path,)) if found.finding == "device"]
    change, (mark,), _ = drawn(one)
    assert change.max() > 0.05
    assert change.min() >= 0
    assert mark.parts


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(name for name in (*DRAWERS, "cardiomegaly") if LABEL_OF[name])), st.integers(0, 999))
def test_boxes_lie_in_the_image_and_hold_the_finding(name: str, seed: int):
    rng = np.random.default_rng(seed)
    one = finding(name, path="Medical Device" if name == "device" else "")
    patient = shaped(draw_patient(rng), [one], rng)
    page = Canvas.of(ANATOMY, LANDMARKS, patient, 1.0)
    marks = draw_findings(page, [one], rng)
    exposure = draw_exposure(rng, bedside=False, height=patient.height)
    rays = cast_rays(ANATOMY, LANDMARKS, patient, exposure, SIZE)
    boxes = [box for mark in marks if (box := mark_box(mark, page, rays)) is not None]
    assert boxes or name == "device"  # a stent or clip may lie outside the field
    for box in boxes:
        assert box.w > 0
        assert box.h > 0
        assert 0 <= box.x <= box.x + box.w <= SIZE
        assert 0 <= box.y <= box.y + box.h <= SIZE


def test_left_boxes_are_on_the_viewers_right():
    for side, on_right in (("left", True), ("right", False)):
        _, marks, page = drawn(finding("effusion", side))
        exposure = replace(draw_exposure(np.random.default_rng(0), False, 1.0), roll=0, yaw=0, shift=(0, 0))
        box = mark_box(marks[0], page, cast_rays(ANATOMY, LANDMARKS, page.patient, exposure, SIZE))
        assert box is not None
        assert (box.x + box.w / 2 > SIZE / 2) is on_right


def test_an_enlarged_heart_is_larger_than_any_normal_one():
    normal = [draw_patient(np.random.default_rng(seed)).heart for seed in range(50)]
    rng = np.random.default_rng(0)
    ill = [shaped(draw_patient(rng), [finding("cardiomegaly", severity="mild")], rng).heart for _ in range(20)]
    assert min(ill) > max(normal)


def test_variants_mark_nothing_and_leave_the_anatomy_alone():
    page = canvas(3)
    kept = ANATOMY.soft.copy()
    draw_variants(page, np.random.default_rng(3), bedside=True)
    assert np.array_equal(kept, ANATOMY.soft)
    assert np.isfinite(page.volume).all()
