"""The one real chest CT of the demo, made into a `CtVolume`: the organ mask tells which lesion may lie where.

The scan reaches from the neck to the kidneys, so seven of DeepLesion's eight types have a place; the pelvis has none.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cxrflow.cohort.hounsfield import HIGHEST, LOWEST
from cxrflow.cohort.labels import LESION_TYPES
from cxrflow.cohort.simulation.anatomy import Bytes, Floats
from cxrflow.cohort.simulation.ct_volume import OTHER, CtVolume, Spacing, with_places
from cxrflow.cohort.simulation.scan import LOBE_STRUCTURES, body_mask, is_bone, members, read_scan, structures

_ORGANS = ("stomach", "spleen", "pancreas", "adrenal", "small_bowel", "duodenum", "colon", "gallbladder")
_MUSCLES = ("autochthon", "iliopsoas")
_IN_MEDIASTINUM = ("esophagus", "thyroid")
_HEART = ("heart",)
FAT = -200  # HU: unlabelled tissue below it is air in folds of the skin or in the bowel
DIAPHRAGM = 25.0  # mm above the heart's lower end: what lies between the lungs above it counts as mediastinum
WALL = 30.0  # mm: unlabelled tissue of the trunk that lies deeper under the skin is the abdomen's
VESSEL, AERATED, AIRY, UPWARDS = 2.8, -500, -870, 30.0  # mm (radius), HU, HU, mm

Mask = NDArray[np.bool_]


def scanned_volume(folder: Path, every: int) -> CtVolume:
    """Read the scan below `folder`, averaged over `every` x `every` voxels of a slice: about 15 s, 1.5 GB."""
    hounsfield, labels, (across, deep, between) = read_scan(folder)
    tissue = _tissue(hounsfield, labels, structures(folder / "structures.csv"), (between, deep, across))
    values = np.where(tissue > 0, hounsfield.clip(LOWEST, HIGHEST), -1000)
    coarse = _averaged(values.astype(np.float32), every)
    # From feet to head and back to front, as stored, to head first and front first.
    turned = np.ascontiguousarray(np.rint(coarse)[::-1, ::-1].astype(np.int16))
    kinds = np.ascontiguousarray(tissue[::-1, ::-1][:, every // 2 :: every, every // 2 :: every])
    spacing = (between, deep * every, across * every)
    return with_places(_without_nodule(turned, kinds, spacing), kinds, spacing)


def _without_nodule(hounsfield: NDArray[np.int16], tissue: Bytes, spacing: Spacing) -> NDArray[np.int16]:
    """Fill the scan's own nodule with lung from nearer the head: each patient would have it, and without a box."""
    lung = tissue == LESION_TYPES.index("lung") + 1
    plane = np.ones((1, 3, 3), dtype=bool)
    steps = round(VESSEL / spacing[1])
    pieces, count = ndimage.label(ndimage.binary_opening(lung & (hounsfield > AERATED), plane, iterations=steps))
    if not count:
        return hounsfield
    nodule = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    nodule = ndimage.binary_dilation(nodule, np.ones((3, 3, 3), dtype=bool), iterations=steps + 1) & lung
    away = round(UPWARDS / spacing[0])
    above = np.where(np.roll(lung, away, axis=0), np.roll(hounsfield, away, axis=0), AIRY)
    return np.where(nodule, np.minimum(above, AERATED), hounsfield).astype(np.int16)


def _averaged(values: Floats, every: int) -> Floats:
    slices, rows, columns = values.shape
    blocks = values.reshape(slices, rows // every, every, columns // every, every)
    return blocks.mean(axis=(2, 4), dtype=np.float32)


def _tissue(hounsfield: Floats, labels: Bytes, names: dict[str, int], steps: Spacing) -> Bytes:
    """Return the kind of tissue of each voxel (slices from the feet on), as in `CtVolume`."""

    def of(*starts: str) -> Mask:
        return members(names, lambda name: name.startswith(starts))[labels]

    code = {name: number for number, name in enumerate(LESION_TYPES, start=1)}
    lungs = members(names, LOBE_STRUCTURES.__contains__)[labels]
    open_ones = (labels == 0) & body_mask(hounsfield) & (hounsfield > FAT)
    tissue = np.where(labels > 0, OTHER, 0).astype(np.uint8)
    tissue[open_ones | of(*_MUSCLES)] = code["soft tissue"]
    organs, deep = of(*_ORGANS), _deep(tissue > 0, steps)
    chest = np.flatnonzero(of(*_HEART).any(axis=(1, 2)))[0] + round(DIAPHRAGM / steps[0])
    inside = organs | of("liver", "kidney", "aorta")
    tissue[:chest][(_enclosed(inside[:chest]) | deep[:chest]) & open_ones[:chest]] = code["abdomen"]
    tissue[chest:][_between(lungs[chest:]) & (open_ones | of(*_IN_MEDIASTINUM))[chest:]] = code["mediastinum"]
    for name, mask in {
        "abdomen": organs,
        "lung": lungs,
        "liver": of("liver"),
        "kidney": of("kidney"),
        "bone": members(names, is_bone)[labels] & ~of("costal"),
    }.items():
        tissue[mask] = code[name]
    return tissue


def _deep(body: Mask, steps: Spacing) -> Mask:
    """Mark what lies deeper than WALL under the skin, measured at every fourth row and column."""
    coarse = body[:, ::4, ::4]
    depth = ndimage.distance_transform_edt(coarse, sampling=(steps[0], 4 * steps[1], 4 * steps[2]))
    return (depth > WALL).repeat(4, axis=1).repeat(4, axis=2)


def _between(mask: Mask) -> Mask:
    """Mark what has a marked voxel on both sides in its row."""
    left = np.maximum.accumulate(mask, axis=2)
    right = np.maximum.accumulate(mask[:, :, ::-1], axis=2)[:, :, ::-1]
    return left & right


def _enclosed(mask: Mask) -> Mask:
    """Mark what has marked voxels on both sides, in front and behind."""
    return _between(mask) & _between(mask.swapaxes(1, 2)).swapaxes(1, 2)
