"""What physics and anatomy demand of a simulated radiograph, on the analytic phantom."""

from dataclasses import replace

import numpy as np
import pytest

from cxrflow.cohort.simulation.anatomy import Anatomy, load_anatomy, save_anatomy
from cxrflow.cohort.simulation.deformation import cast_rays
from cxrflow.cohort.simulation.landmarks import Landmarks, find_landmarks
from cxrflow.cohort.simulation.patient import AP, PA, Exposure, Patient
from cxrflow.cohort.simulation.phantom import phantom_anatomy
from cxrflow.cohort.simulation.projection import WATER, Part, line_integrals, part_box, part_integrals, transmission
from cxrflow.cohort.simulation.radiograph import Detector, encode_jpeg, expose

SIZE = 96
PLAIN = Patient(
    width=1, height=1, flank=1, depth=1, bone=1, lung=1, vessels=1, heart=1, mediastinum=1, domes=(0, 0), scoliosis=0,
    breasts=0, waves=np.zeros((0, 8)),
)  # fmt: skip
STRAIGHT = Exposure(view=PA, yaw=0, tilt=0, roll=0, shift=(0, 0), field=300, distance=1700)
DETECTOR = Detector(
    scatter=0.3, dose=1e6, blur=0.3, flatten=0.2, detail=0.5, steepness=4, middle=0.5, borders=(0, 0, 0, 0), marker="",
    marker_place=(0.05, 0.05), marker_size=0.05,
)  # fmt: skip


@pytest.fixture(scope="module")
def chest() -> tuple[Anatomy, Landmarks]:
    anatomy = phantom_anatomy()
    return anatomy, find_landmarks(anatomy)


def heart_box(chest, patient: Patient, exposure: Exposure = STRAIGHT):
    anatomy, landmarks = chest
    rays = cast_rays(anatomy, landmarks, patient, exposure, SIZE)
    part = Part((anatomy.heart / 255).astype(np.float32), (0, 0, 0))
    box = part_box(part, anatomy.shape, rays)
    assert box is not None
    return box


def test_a_slab_of_water_follows_beer_and_lambert(chest):
    anatomy, landmarks = chest
    water = np.full(anatomy.shape, 0.5, dtype=np.float32)
    integrals = line_integrals(water, cast_rays(anatomy, landmarks, PLAIN, STRAIGHT, SIZE))
    thickness = 0.5 * anatomy.shape[0]
    assert integrals == pytest.approx(thickness, rel=1e-5)
    assert transmission(integrals) == pytest.approx(np.exp(-WATER * thickness), rel=1e-5)


def test_the_undeformed_central_column_is_projected_onto_the_middle(chest):
    anatomy, landmarks = chest
    slab, row, column = (round(place) for place in anatomy.centre)
    volume = np.zeros(anatomy.shape, dtype=np.float32)
    volume[slab, row - 1 : row + 2, column - 1 : column + 2] = 1
    integrals = line_integrals(volume, cast_rays(anatomy, landmarks, PLAIN, STRAIGHT, 97))
    brightest = np.unravel_index(integrals.argmax(), integrals.shape)
    assert np.abs(np.array(brightest) - 48).max() <= 2


def test_the_patients_left_is_on_the_viewers_right(chest):
    anatomy, landmarks = chest
    rays = cast_rays(anatomy, landmarks, PLAIN, STRAIGHT, SIZE)
    left = line_integrals(anatomy.side("left"), rays)
    right = line_integrals(anatomy.side("right"), rays)
    columns = np.arange(SIZE)
    assert (left.sum(axis=0) @ columns) / left.sum() > SIZE / 2 > (right.sum(axis=0) @ columns) / right.sum()


def test_a_scaled_heart_raises_the_cardiothoracic_ratio(chest):
    anatomy, landmarks = chest
    widths = [heart_box(chest, replace(PLAIN, heart=scale)).w for scale in (0.85, 1.0, 1.25, 1.5)]
    assert widths == sorted(widths)
    assert 1.2 < widths[-1] / widths[1] <= 1.55  # the chest wall holds a very large heart back
    lungs = anatomy.side("left") + anatomy.side("right")
    chests = []
    for scale in (1.0, 1.5):
        rays = cast_rays(anatomy, landmarks, replace(PLAIN, heart=scale), STRAIGHT, SIZE)
        columns = np.flatnonzero(line_integrals(lungs, rays).max(axis=0) > 0.5)
        chests.append(columns[-1] - columns[0])
    assert abs(chests[1] - chests[0]) <= 3  # the rib cage stays


def test_an_ap_view_magnifies_the_heart(chest):
    near = replace(STRAIGHT, view=AP, distance=1000)
    assert heart_box(chest, PLAIN, near).w > heart_box(chest, PLAIN).w


def test_a_part_projects_as_it_does_inside_the_whole(chest):
    anatomy, landmarks = chest
    tilted = replace(STRAIGHT, yaw=4, roll=3, shift=(6, -4))
    rays = cast_rays(anatomy, landmarks, replace(PLAIN, heart=1.2), tilted, SIZE)
    rng = np.random.default_rng(5)
    values = rng.random((4, 12, 15), dtype=np.float32)
    values[:, [0, -1]], values[:, :, [0, -1]] = 0, 0  # its border is dark, so that interpolation agrees there as well
    whole = np.zeros(anatomy.shape, dtype=np.float32)
    whole[3:7, 40:52, 60:75] = values
    integrals, top, left = part_integrals(Part(values, (3, 40, 60)), anatomy.shape, rays)
    full = sum(
        line_integrals(np.where(np.arange(anatomy.shape[0])[:, None, None] == slab, whole, 0), rays)
        for slab in range(3, 7)
    )
    step = 2
    window = np.asarray(full)[
        top : top + step * integrals.shape[0] : step, left : left + step * integrals.shape[1] : step
    ]
    assert integrals.sum() == pytest.approx(window.sum(), rel=0.02)
    assert np.abs(integrals - window).max() < 0.35 * window.max()  # steps between slabs are smoothed in the whole only


def test_a_box_holds_what_was_inserted(chest):
    anatomy, landmarks = chest
    rays = cast_rays(anatomy, landmarks, PLAIN, STRAIGHT, SIZE)
    values = np.ones((3, 8, 10), dtype=np.float32)
    box = part_box(Part(values, (5, 30, 70)), anatomy.shape, rays)
    assert box is not None
    whole = np.zeros(anatomy.shape, dtype=np.float32)
    whole[5:8, 30:38, 70:80] = 1
    integrals = line_integrals(whole, rays)
    inside = integrals[box.y : box.y + box.h, box.x : box.x + box.w].sum()
    assert inside / integrals.sum() > 0.9
    assert box.x >= 0
    assert box.x + box.w <= SIZE
    assert box.y >= 0
    assert box.y + box.h <= SIZE


def test_denser_is_brighter_and_the_same_seed_gives_the_same_bytes():
    water = np.full((SIZE, SIZE), 10, dtype=np.float32)
    water[:, SIZE // 2 :] = 14
    image = expose(water, DETECTOR, np.random.default_rng(1))
    assert image.dtype == np.uint8
    assert image[:, 60:].mean() > image[:, :36].mean() + 50
    again = expose(water, DETECTOR, np.random.default_rng(1))
    assert encode_jpeg(image, 90) == encode_jpeg(again, 90)
    assert not np.array_equal(image, expose(water, DETECTOR, np.random.default_rng(2)))


@pytest.mark.parametrize(("letter", "half"), [("L", slice(SIZE // 2, None)), ("R", slice(None, SIZE // 2))])
def test_the_marker_lies_on_its_side(letter: str, half: slice):
    water = np.full((SIZE, SIZE), 10, dtype=np.float32)
    bare = expose(water, DETECTOR, np.random.default_rng(1)).astype(int)
    marked = expose(water, replace(DETECTOR, marker=letter), np.random.default_rng(1)).astype(int)
    changed = np.abs(marked - bare).sum(axis=0)
    assert changed.sum() > 0
    assert changed[half].sum() == changed.sum()


def test_an_anatomy_is_read_as_it_was_written(tmp_path, chest):
    anatomy, _ = chest
    save_anatomy(anatomy, tmp_path / "chest.npz")
    read = load_anatomy(tmp_path / "chest.npz")
    assert (read.spacing, read.centre) == (anatomy.spacing, anatomy.centre)
    for name in ("soft", "bone", "lung", "lobes", "heart"):
        assert np.array_equal(getattr(read, name), getattr(anatomy, name))
