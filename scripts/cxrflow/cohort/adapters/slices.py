"""CT slices as a plain folder, `patient/slice.png`: nothing is known of them but whose they are."""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.adapters.raw import RawCohort, Source, refuse
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.errors import UserError

_PLACE = r"^([^/]+)/([^/]+\.png)$"


def read_slices(source: Source, settings: ReadingSettings, refused: Quarantine) -> RawCohort:
    """Read all PNGs below the root; those that are not in a folder of their patient are refused.

    A patient's slices are one study. Raises UserError where there is no PNG at all.
    """
    paths = pd.Series(slice_paths(source.root), dtype="str")
    if paths.empty:
        raise UserError(
            f"There is no PNG file below {source.root}.", "`root` is the folder that holds a folder per patient."
        )
    place = paths.str.extract(_PLACE)
    images = pd.DataFrame({"image_id": paths.str.replace("/", "_"), "path": paths, "patient_id": place[0]})
    reason = "the file does not lie in a folder of its patient"
    images = refuse(images, place[0].isna(), "path", source.root.name, reason, refused)
    images = images.assign(study_id=images["patient_id"], view="AXIAL", sex=None, age=None, official_split=None)
    return RawCohort(images, (), source.root.name, len(paths))


def slice_paths(root: Path) -> list[str]:
    """Return the sorted paths of all PNGs below the root, relative to it."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
