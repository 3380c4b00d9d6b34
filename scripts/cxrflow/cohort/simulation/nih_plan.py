"""Which rows of the real table of ChestX-ray14 become simulated images, with which classes, in which split.

Patients are drawn at random and kept whole, so the classes' long tail, their co-occurrence, views, ages, sexes and
follow-ups are the real ones. What is simulated: the pixels, and the five classes that NIH-CXR-LT added (see nih_added).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxrflow.cohort.long_tail import NIH_CLASSES
from cxrflow.cohort.simulation.nih_added import with_added
from cxrflow.cohort.simulation.nih_findings import drawn_findings
from cxrflow.cohort.simulation.nih_split import split_patients
from cxrflow.cohort.simulation.nih_table import COLUMNS
from cxrflow.cohort.simulation.patient import AP
from cxrflow.cohort.simulation.scene import Scene
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.whole_patients import whole_patients
from cxrflow.errors import UserError

_PATIENTS, _DRAWN, _SPLIT = 301, 303, 304  # one stream of random numbers for each purpose
_BODIES = 100_000  # no patient shares the body of one of the reports' patients


@dataclass(frozen=True)
class NihImage:
    """One image: its row of the table as written, its classes of NIH-CXR-LT, its split, and what is drawn."""

    row: tuple[str, ...]
    classes: frozenset[str]
    split: str
    scene: Scene

    @property
    def image_id(self) -> str:
        """Name of the image file, such as 00000001_000.png."""
        return self.row[COLUMNS.index("Image Index")]

    @property
    def patient_id(self) -> int:
        """Number of the patient."""
        return int(self.row[COLUMNS.index("Patient ID")])


def plan_images(table: pd.DataFrame, settings: SimulationSettings) -> list[NihImage]:
    """Choose rows of the table and give them classes and splits; the same settings give the same plan.

    Raises UserError where the table has fewer rows than images are asked for.
    """
    if len(table) < settings.studies:
        raise UserError(
            f"{settings.studies} images were asked for; the table of ChestX-ray14 has {len(table)}.",
            f"Set the simulation's `studies` to {len(table)} or less.",
        )
    chosen = whole_patients(table["Patient ID"], settings.studies, np.random.default_rng([settings.seed, _PATIENTS]))
    rows = table[chosen].reset_index(drop=True)
    patients, ages = rows["Patient ID"], rows["Patient Age"].astype("float64")
    classes = with_added(published_classes(rows["Finding Labels"]), patients, ages, settings.seed)
    rng = np.random.default_rng([settings.seed, _SPLIT])
    split = split_patients(classes, patients, settings.split_shares, rng)
    names = [frozenset(classes.columns[line]) for line in classes.to_numpy(bool)]
    return [
        _image(row, positive, split[patient], settings.seed)
        for row, positive, patient in zip(rows.itertuples(index=False, name=None), names, patients, strict=True)
    ]


def published_classes(findings: pd.Series) -> pd.DataFrame:
    """One row per image, True or False for each of the 20 classes (never an added one), from '|'-joined findings."""
    named = [set(joined.replace("_", " ").split("|")) for joined in findings]
    return pd.DataFrame([[name in names for name in NIH_CLASSES] for names in named], columns=list(NIH_CLASSES))


def _image(row: tuple[str, ...], classes: frozenset[str], split: str, seed: int) -> NihImage:
    cells = dict(zip(COLUMNS, row, strict=True))
    name, view, patient = cells["Image Index"], cells["View Position"], int(cells["Patient ID"])
    number = (_BODIES + patient) * 1000 + int(name[9:12])
    scene = Scene(
        name=name.removesuffix(".png"),
        number=number,
        patient=_BODIES + patient,
        findings=drawn_findings(classes, view, np.random.default_rng([seed, _DRAWN, number])),
        bedside=view == AP,
        images=(name,),
        files=(f"images/{name}",),
        view=view,
        sex=cells["Patient Gender"],
    )
    return NihImage(row, classes, split, scene)
