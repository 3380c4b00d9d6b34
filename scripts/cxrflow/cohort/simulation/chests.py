"""The undeformed chests that images are made from, by name: each is made once, for all cohorts of a run."""

from pathlib import Path

from cxrflow.cohort.simulation.anatomy import Anatomy, save_anatomy
from cxrflow.cohort.simulation.ct_phantom import phantom_volume
from cxrflow.cohort.simulation.ct_scan import scanned_volume
from cxrflow.cohort.simulation.ct_volume import CtVolume, save_volume
from cxrflow.cohort.simulation.grain import GRAINS, VOLUME, VOXELS
from cxrflow.cohort.simulation.phantom import phantom_anatomy
from cxrflow.cohort.simulation.scan import scan_folder, scanned_anatomy


def save_chest(name: str, path: Path) -> None:
    """Write the chest of a name that `chest_name` gives: for radiographs, or (beginning with VOLUME) for CT slices."""
    if name.startswith(VOLUME):
        save_volume(build_volume(name.removeprefix(VOLUME)), path)
    else:
        save_anatomy(build_anatomy(name), path)


def build_volume(name: str) -> CtVolume:
    """Return the volume of a name without VOLUME: 'phantom', or 'ct_' and a size of `VOXELS`."""
    if name == "phantom":
        return phantom_volume()
    return scanned_volume(scan_folder(), VOXELS[int(name.removeprefix("ct_"))])


def build_anatomy(name: str) -> Anatomy:
    """Return the chest of a radiograph: 'phantom', or 'ct_' and a size of `GRAINS`."""
    if name == "phantom":
        return phantom_anatomy()
    return scanned_anatomy(scan_folder(), GRAINS[int(name.removeprefix("ct_"))])
