"""What is drawn, whatever data set it is drawn for: a body, its findings, and the images of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from cxrflow.cohort.openi_index import IndexedFinding

_BEDSIDE = {"edema", "heart_failure"}


@dataclass(frozen=True)
class Scene:
    """One visit of one patient to be drawn.

    `name` is that of its record of boxes; `number` seeds findings and exposures, `patient` the body, which scenes of
    the same patient share. `images` are the ids of its images, `files` their paths below the tree's root. `bedside`
    tells that the patient can't stand: AP views and leads are likely. `view` ('PA' or 'AP') and `sex` ('F' or 'M') are
    drawn from the seeds where they are None.
    """

    name: str
    number: int
    patient: int
    findings: tuple[IndexedFinding, ...]
    bedside: bool
    images: tuple[str, ...]
    files: tuple[str, ...]
    view: str | None = None
    sex: str | None = None


def is_bedside(findings: Iterable[IndexedFinding]) -> bool:
    """Tell whether the findings are those of a patient who can't stand."""
    return any(one.finding in _BEDSIDE or (one.finding == "device" and one.site == "tube") for one in findings)
