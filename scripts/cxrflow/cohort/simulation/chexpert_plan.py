"""Which rows of the real table of CheXpert become simulated images, and which of them its `valid` part.

Patients are drawn at random and kept whole but for their lateral views, so prevalences, uncertain labels, follow-ups,
ages and sexes are the real ones. What is simulated: the pixels, and the labels of the `valid` part, whose published
table is not in the package. They are, as there, those of experts who see the image: present or absent, nothing else.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxrflow.cohort.simulation.chexpert_findings import PRESENT, drawn_findings, expert_cells, shown_labels
from cxrflow.cohort.simulation.chexpert_table import COLUMNS, LABELS
from cxrflow.cohort.simulation.nih_split import split_patients
from cxrflow.cohort.simulation.patient import AP
from cxrflow.cohort.simulation.scene import Scene
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.whole_patients import whole_patients
from cxrflow.errors import UserError

_PATIENTS, _DRAWN, _SPLIT = 401, 402, 403  # one stream of random numbers for each purpose
_BODIES = 200_000  # no patient shares the body of a patient of another cohort
_PATH = re.compile(r"(?P<name>.+)/train/(?P<file>patient(?P<patient>\d+)/study(?P<study>\d+)/(?P<view>\w+)\.jpg)")
_SEXES = {"Male": "M", "Female": "F"}


@dataclass(frozen=True)
class CheXpertStudy:
    """The frontal images of one study in one view: their rows of a table as written, its name, and what is drawn."""

    rows: tuple[tuple[str, ...], ...]
    part: str
    scene: Scene


def plan_chexpert(table: pd.DataFrame, settings: SimulationSettings) -> list[CheXpertStudy]:
    """Choose rows of the table, and what their images show; the same settings give the same plan.

    Raises UserError where the table has fewer frontal images than are asked for.
    """
    frontal = table[(table["Frontal/Lateral"] == "Frontal") & table["AP/PA"].isin(["AP", "PA"])]
    if len(frontal) < settings.studies:
        raise UserError(
            f"{settings.studies} images were asked for; the table of CheXpert has {len(frontal)} frontal ones.",
            f"Set the simulation's `studies` to {len(frontal)} or less.",
        )
    told = frontal.reset_index(drop=True)
    told = pd.concat([told, told["Path"].str.extract(_PATH)], axis="columns")
    chosen = whole_patients(told["patient"], settings.studies, np.random.default_rng([settings.seed, _PATIENTS]))
    rows = told[chosen].reset_index(drop=True)
    part = _parts(rows, settings)
    groups = rows.groupby(["patient", "study", "AP/PA"], sort=True)
    return [_study(images, part[str(images["patient"].iloc[0])], settings.seed) for _, images in groups]


def _parts(rows: pd.DataFrame, settings: SimulationSettings) -> dict[str, str]:
    """Return patient -> train or valid: the share of the test split is CheXpert's `valid` part."""
    positive = rows[list(LABELS)] == PRESENT
    rng = np.random.default_rng([settings.seed, _SPLIT])
    split = split_patients(positive, rows["patient"], settings.split_shares, rng)
    return {str(patient): "valid" if name == "test" else "train" for patient, name in split.items()}


def _study(images: pd.DataFrame, part: str, seed: int) -> CheXpertStudy:
    first = images.iloc[0]
    patient, view = int(first["patient"]), first["AP/PA"]
    number = (_BODIES + patient) * 1000 + 2 * int(first["study"]) + (view == AP)
    rng = np.random.default_rng([seed, _DRAWN, number])
    shown = shown_labels({label: str(first[label]) for label in LABELS}, rng)
    files = tuple(f"{part}/{file}" for file in images["file"])
    name = f"patient{first['patient']}_study{first['study']}_{view}"
    scene = Scene(
        name=name,
        number=number,
        patient=_BODIES + patient,
        findings=drawn_findings(shown, rng),
        bedside=view == AP,
        images=tuple(f"{name}_{image}" for image in images["view"]),
        files=files,
        view=view,
        sex=_SEXES.get(first["Sex"]),
    )
    paths = [f"{root}/{file}" for root, file in zip(images["name"], files, strict=True)]
    cells = images.assign(Path=paths, **(expert_cells(shown) if part == "valid" else {}))
    return CheXpertStudy(tuple(cells[list(COLUMNS)].itertuples(index=False, name=None)), part, scene)
