"""Bodies and lesions of simulated CT slices: organs in Hounsfield units, shapes, measurements."""

from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrflow.cohort.labels import LESION_TYPES
from cxrflow.cohort.simulation.chests import build_volume, save_chest
from cxrflow.cohort.simulation.ct_lesions import LEAST_CONTRAST, LOOKS, draw_lesion
from cxrflow.cohort.simulation.ct_measure import diameters, lengths, padded_box
from cxrflow.cohort.simulation.ct_phantom import phantom_volume
from cxrflow.cohort.simulation.ct_scan import scanned_volume
from cxrflow.cohort.simulation.ct_volume import LEAST_ROOM, MARGIN, CtVolume, load_volume
from cxrflow.cohort.simulation.grain import chest_name

STEPS = (2.0, 2.0, 5.0)
NAMES = {"lung_upper_lobe_left": 1, "lung_lower_lobe_right": 2, "heart": 3, "vertebrae_T8": 4, "liver": 5, "stomach": 6}


def code(name: str) -> int:
    return LESION_TYPES.index(name) + 1


cached_phantom = cache(phantom_volume)


@pytest.fixture
def phantom() -> CtVolume:
    return cached_phantom()


def scan_of(folder: Path, nodule: bool) -> CtVolume:
    """A body of water, stored back to front and feet first: lungs, heart and vertebra above liver and stomach."""
    values, labels = np.full((96, 80, 40), -1000, dtype=np.int16), np.zeros((96, 80, 40), dtype=np.uint8)
    values[6:90, 8:76] = 20
    labels[20:40, 24:62, 16:36], labels[56:76, 24:62, 16:36] = 2, 1
    labels[44:52, 30:50, 15:20], labels[42:54, 14:24], labels[14:46, 30:70, 4:14], labels[56:80, 40:66, 4:14] = (
        3,
        4,
        5,
        6,
    )
    values[(labels == 1) | (labels == 2)] = -850
    values[labels == 4], values[labels == 5] = 400, 90
    if nodule:
        values[62:72, 34:48, 24:28] = 40
    affine = np.diag([-STEPS[0], STEPS[1], STEPS[2], 1.0])
    nibabel.nifti1.Nifti1Image(values, affine).to_filename(folder / "cxr.nii.gz")
    nibabel.nifti1.Nifti1Image(labels, affine).to_filename(folder / "mask.nii.gz")
    rows = [f"organs,{number},{name},{number}" for name, number in NAMES.items()]
    (folder / "structures.csv").write_text("\n".join(["group,original_idx,structure,id", *rows]) + "\n")
    return scanned_volume(folder, 2)


def test_a_scan_is_turned_to_head_first_and_front_first(tmp_path: Path) -> None:
    volume = scan_of(tmp_path, nodule=False)
    assert volume.tissue.shape == (40, 40, 48)
    assert volume.spacing == (5.0, 4.0, 4.0)
    assert np.nonzero(volume.tissue == code("bone"))[1].min() > 25  # the spine lies behind
    assert np.nonzero(volume.tissue == code("liver"))[0].min() > np.nonzero(volume.tissue == code("lung"))[0].min()
    assert np.nonzero(volume.tissue == code("liver"))[2].mean() < 24  # the patient's right is at low columns


def test_organs_keep_their_hounsfield_units_and_the_outside_is_air(tmp_path: Path) -> None:
    volume = scan_of(tmp_path, nodule=False)
    for name, value in {"lung": -850, "liver": 90, "bone": 400}.items():
        assert np.median(volume.hounsfield[volume.tissue == code(name)]) == value
    assert (volume.hounsfield[volume.tissue == 0] == -1000).all()


def test_what_lies_between_the_lungs_is_mediastinum_and_under_the_skin_soft_tissue(tmp_path: Path) -> None:
    volume = scan_of(tmp_path, nodule=False)
    chest = volume.tissue[8]  # above the heart
    assert chest[20, 24] == code("mediastinum")
    assert chest[20, 6] == code("soft tissue")
    assert chest[4, 24] == code("soft tissue")
    abdomen = volume.tissue[31]
    assert abdomen[18, 24] == code("abdomen")  # unlabelled, but deep


def test_the_scans_own_nodule_is_filled_with_lung(tmp_path: Path) -> None:
    volume = scan_of(tmp_path, nodule=True)
    lung = volume.hounsfield[volume.tissue == code("lung")]
    assert np.unique(lung).tolist() == [-850]


def test_places_lie_in_their_tissue_with_room_and_away_from_the_ends(phantom: CtVolume) -> None:
    kinds, at, room = phantom.places[:, 0], phantom.places[:, 1:4].astype(int), phantom.places[:, 4]
    assert (phantom.tissue[tuple(at.T)] == kinds).all()
    assert room.min() >= LEAST_ROOM
    heights = at[:, 0] * phantom.spacing[0]
    assert heights.min() >= MARGIN - phantom.spacing[0]
    assert heights.max() <= phantom.millimetres()[0] - MARGIN


def test_the_pelvis_has_no_place_in_a_chest_scan(phantom: CtVolume) -> None:
    assert phantom.types == tuple(name for name in LESION_TYPES if name != "pelvis")


def test_a_chest_is_saved_under_its_name(tmp_path: Path) -> None:
    assert chest_name("phantom", 128, slices=True) == "volume_phantom"
    assert [chest_name("ct", size, slices=True) for size in (128, 256, 257, 1024)] == [
        "volume_ct_256", "volume_ct_256", "volume_ct_512", "volume_ct_512",
    ]  # fmt: skip
    save_chest("volume_phantom", tmp_path / "a.npz")
    save_chest("volume_phantom", tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    read, made = load_volume(tmp_path / "a.npz"), build_volume("phantom")
    assert read.spacing == made.spacing
    for name in ("hounsfield", "tissue", "places"):
        assert np.array_equal(getattr(read, name), getattr(made, name))


@given(st.sampled_from(sorted(LOOKS)), st.integers(0, 10_000))
def test_a_lesion_fills_its_centre_and_ends_within_twice_its_size(kind: str, seed: int) -> None:
    volume = cached_phantom()
    lesion = draw_lesion(volume, kind, 0.5, 1.0, np.random.default_rng(seed))
    centre = np.array(lesion.centre)
    assert lesion.type == kind
    assert lesion.share(centre) > 0.5
    directions = np.random.default_rng(seed).normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert lesion.share(centre + directions * 2 * (lesion.half.max() + lesion.edge)).max() < 0.05
    place = np.rint(centre / volume.spacing + (np.array(volume.tissue.shape) - 1) / 2).astype(int)
    assert volume.tissue[tuple(place)] == code(kind)


@given(st.sampled_from(sorted(LOOKS)), st.integers(0, 1000))
def test_a_lesion_stands_out_from_its_tissue(kind: str, seed: int) -> None:
    volume = cached_phantom()
    lesion = draw_lesion(volume, kind, 1.0, 1.0, np.random.default_rng(seed))
    own = volume.hounsfield[volume.tissue == lesion.code]
    assert abs(lesion.density - np.median(own)) >= LEAST_CONTRAST - 1e-3


def test_the_same_lesion_is_larger_after_it_grew(phantom: CtVolume) -> None:
    before, after = (draw_lesion(phantom, "liver", 0.5, growth, np.random.default_rng(5)) for growth in (1.0, 1.5))
    assert before.centre == after.centre
    assert before.density == after.density
    assert np.allclose(after.half, 1.5 * before.half)


def test_the_texture_has_its_standard_deviation(phantom: CtVolume) -> None:
    lesion = draw_lesion(phantom, "lung", 0.5, 1.0, np.random.default_rng(3))
    places = np.random.default_rng(0).uniform(-200, 200, (20_000, 3))
    assert lesion.values(places).std() == pytest.approx(lesion.texture, rel=0.05)
    assert lesion.values(places).mean() == pytest.approx(lesion.density, abs=2)


def test_diameters_of_an_upright_ellipse_are_its_axes() -> None:
    rows, columns = np.mgrid[:64, :64] + 0.5
    seen = ((rows - 30) / 20) ** 2 + ((columns - 32) / 9) ** 2 < 1
    ends = diameters(seen)
    long, short = lengths(ends)
    assert long == pytest.approx(40, abs=1.5)
    assert short == pytest.approx(18, abs=1.5)
    assert ends[:2, 0] == pytest.approx(32, abs=1.5)  # the long one is upright


@given(st.integers(2, 20), st.integers(2, 20), st.integers(0, 40), st.integers(0, 40), st.sampled_from([64, 128, 512]))
def test_the_box_holds_the_mask_and_its_diameters_with_the_published_margin(
    height: int, width: int, top: int, left: int, side: int
) -> None:
    seen = np.zeros((side, side), dtype=bool)
    seen[top : top + height, left : left + width] = True
    box, margin = padded_box(seen), round(5 * side / 512)
    assert (box.x, box.y) == (max(left - margin, 0), max(top - margin, 0))
    assert (box.x + box.w, box.y + box.h) == (min(left + width + margin, side), min(top + height + margin, side))
    x, y = diameters(seen).T
    assert box.x <= x.min() <= x.max() <= box.x + box.w
    assert box.y <= y.min() <= y.max() <= box.y + box.h
