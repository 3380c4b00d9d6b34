"""From named findings to what is drawn into a patient.

Drawn: every finding of `SHAPES` (body and heart) and `DRAWERS` (into the volume). Not drawn, though the index may name
them: see `NOT_DRAWN`. Labels and boxes are different things: labels follow the index, drawn or not.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cxrflow.cohort.openi_index import IndexedFinding
from cxrflow.cohort.simulation.canvas import Canvas
from cxrflow.cohort.simulation.drawers import DRAWERS
from cxrflow.cohort.simulation.landmarks import SIDES
from cxrflow.cohort.simulation.patient import Patient
from cxrflow.cohort.simulation.projection import BOX_LEVEL, Part
from cxrflow.cohort.simulation.shapes import SHAPES

NOT_DRAWN = (
    "bronchiectasis", "bulla", "degenerative_spine", "foreign_body", "fracture", "kyphosis", "pericardial_effusion",
)  # fmt: skip
_MIDLINE = ("aortic_calcification", "device", "hernia", "pneumomediastinum", "tortuous_aorta")
_OFTEN_BOTH = {
    "congestion": 1.0, "edema": 1.0, "heart_failure": 1.0, "interstitial_disease": 1.0, "fibrosis": 0.8,
    "effusion": 0.35, "opacity": 0.15, "atelectasis": 0.25, "pleural_thickening": 0.3, "blunted_angle": 0.3,
    "subcutaneous_emphysema": 0.35, "pneumoperitoneum": 0.35,
}  # fmt: skip
_SAME = {"congestion": "edema", "heart_failure": "edema"}  # one swelling of the lung under several names
_ORDER = {"effusion": 0, "blunted_angle": 0, "aortic_calcification": 2}
_DEGREE = {"mild": 0.0, "moderate": 0.5, "severe": 1.0}


@dataclass(frozen=True)
class Mark:
    """A finding that was drawn: its name, side and place as in the index, and the parts of the volume it changed.

    A mark without parts is the heart itself, whose silhouette is its box.
    """

    finding: str
    side: str | None
    site: str | None
    parts: tuple[Part, ...]

    @property
    def level(self) -> float:
        """Share of the strongest change that its box begins at: higher for air, whose thin rim runs round the lung."""
        return 0.4 if self.finding == "pneumothorax" else BOX_LEVEL

    @property
    def text(self) -> str:
        """The finding in words, such as 'calcified granuloma left upper'."""
        name = "calcified granuloma" if self.finding == "granuloma" else self.finding.replace("_", " ")
        return " ".join(filter(None, (name, self.side, self.site)))


def degree(finding: IndexedFinding, rng: np.random.Generator) -> float:
    """Severity from 0 to 1: about the index's word where it gives one, anywhere below moderate to severe otherwise."""
    base = _DEGREE[finding.severity] if finding.severity else rng.uniform(0.1, 0.75)
    return float(np.clip(base + rng.normal(0, 0.1), 0, 1.1))


def shaped(patient: Patient, findings: Iterable[IndexedFinding], rng: np.random.Generator) -> Patient:
    """Return the body changed by the findings that are a matter of its shape, each change made once."""
    changes = {SHAPES[finding.finding]: finding for finding in findings if finding.finding in SHAPES}
    for change, finding in changes.items():
        patient = change(patient, finding, degree(finding, rng), rng)
    return patient


def draw_findings(canvas: Canvas, findings: Iterable[IndexedFinding], rng: np.random.Generator) -> list[Mark]:
    """Draw the findings into the canvas: one mark per finding and side that was drawn."""
    marks = []
    for finding in _distinct(findings):
        for side in _sides(finding, rng):
            draw = DRAWERS.get(finding.finding)
            if draw is not None:
                parts = draw(canvas, rng, finding, side or "", degree(finding, rng))
                marks.append(Mark(finding.finding, side, finding.site, tuple(parts)))
        if finding.finding == "cardiomegaly":
            marks.append(Mark(finding.finding, None, None, ()))
    return marks


def _distinct(findings: Iterable[IndexedFinding]) -> list[IndexedFinding]:
    """One finding per name and side: the index often codes one thing twice.

    Fluid comes first, so that what lies in the lung adds nothing where there is no lung any more; the chalk of the
    aorta comes last, for it follows the aorta's outline.
    """
    kept: dict[tuple[str, str | None, str], IndexedFinding] = {}
    for finding in findings:
        path = finding.path if finding.finding == "device" else ""
        name = _SAME.get(finding.finding, finding.finding)
        kept.setdefault((name, finding.side, path), finding)
    sided = {name for name, side, _ in kept if side}
    chosen = [one for (name, side, _), one in kept.items() if side or name not in sided or name == "device"]
    return sorted(chosen, key=lambda one: _ORDER.get(one.finding, 1))


def _sides(finding: IndexedFinding, rng: np.random.Generator) -> tuple[str | None, ...]:
    if finding.finding in _MIDLINE:
        return (finding.side if finding.side in SIDES else None,)
    if finding.side in SIDES:
        return (finding.side,)
    both = _OFTEN_BOTH.get(finding.finding, 0.0)
    if finding.side == "bilateral" or rng.random() < both:
        return SIDES
    return (str(rng.choice(SIDES)),)
