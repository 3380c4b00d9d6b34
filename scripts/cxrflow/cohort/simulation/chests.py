"""The undeformed chests that radiographs are made from, by name: each is made once, for all cohorts of a run."""

from cxrflow.cohort.simulation.anatomy import Anatomy
from cxrflow.cohort.simulation.grain import GRAINS
from cxrflow.cohort.simulation.phantom import phantom_anatomy
from cxrflow.cohort.simulation.scan import scan_folder, scanned_anatomy


def build_anatomy(name: str) -> Anatomy:
    """Return the chest of a name that `chest_name` gives: 'phantom', or 'ct_' and a size of `GRAINS`."""
    if name == "phantom":
        return phantom_anatomy()
    return scanned_anatomy(scan_folder(), GRAINS[int(name.removeprefix("ct_"))])
