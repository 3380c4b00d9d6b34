"""Which patients and studies a simulated DeepLesion cohort has, and which types of lesions: all but their pixels."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxrflow.cohort.layouts import DEEPLESION_IMAGES
from cxrflow.cohort.simulation.nih_split import split_patients
from cxrflow.cohort.simulation.settings import SimulationSettings

# How often each type is a patient's first one: common and rare ones as in DeepLesion; the scan ends above the pelvis.
SHARES = {
    "lung": 0.27, "abdomen": 0.21, "mediastinum": 0.17, "liver": 0.14, "soft tissue": 0.09, "kidney": 0.07,
    "bone": 0.05,
}  # fmt: skip
SECOND_LESION = 0.3
"""Share of patients with a second lesion, of a type of its own."""
SPACINGS = (1.25, 2.5, 5.0)  # mm between slices
FEWEST, MOST = 5, 9  # slices per study
_PLAN, _SPLIT = 401, 402


@dataclass(frozen=True)
class CtStudy:
    """One study of one patient: a run of slices around one key slice.

    `types` are those of the patient's lesions, `shown` the number of the one that the key slice goes through. `slices`
    are the numbers of the slices from head to feet, `spacing` millimetres apart.
    """

    patient: int
    study: int
    series: int
    types: tuple[str, ...]
    shown: int
    slices: tuple[int, ...]
    key: int
    spacing: float
    sex: str
    age: int
    split: str

    @property
    def name(self) -> str:
        """Name of the series' folder, such as 000001_01_01."""
        return f"{self.patient:06d}_{self.study:02d}_{self.series:02d}"

    @property
    def images(self) -> tuple[str, ...]:
        """Ids of the slices, such as 000001_01_01_109.png."""
        return tuple(f"{self.name}_{number:03d}.png" for number in self.slices)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the slices below the tree's root."""
        return tuple(f"{DEEPLESION_IMAGES}/{self.name}/{number:03d}.png" for number in self.slices)

    @property
    def scene(self) -> "CtStudy":
        """What is drawn for it: itself."""
        return self


def plan_ct(settings: SimulationSettings) -> list[CtStudy]:
    """Draw patients with one or two studies until there are `settings.studies`; the same settings give the same plan.

    The split is by patient, with every type in every part as far as there are patients.
    """
    rng = np.random.default_rng([settings.seed, _PLAN])
    again = min(round(settings.second_study_share * settings.studies), settings.studies // 2)
    patients = settings.studies - again
    twice = set(rng.choice(patients, again, replace=False).tolist())
    types = [_types(rng) for _ in range(patients)]
    split = _split(types, settings)
    return [
        study
        for patient in range(patients)
        for study in _studies(patient + 1, types[patient], 2 if patient in twice else 1, split[patient], rng)
    ]


def _types(rng: np.random.Generator) -> tuple[str, ...]:
    count = 2 if rng.random() < SECOND_LESION else 1
    return tuple(str(name) for name in rng.choice(list(SHARES), count, replace=False, p=list(SHARES.values())))


def _split(types: list[tuple[str, ...]], settings: SimulationSettings) -> list[str]:
    """Return the split of each patient."""
    classes = pd.DataFrame([[name in own for name in SHARES] for own in types], columns=list(SHARES))
    rng = np.random.default_rng([settings.seed, _SPLIT])
    names = classes.index.map("{:06d}".format).to_series()
    split = split_patients(classes, names, settings.split_shares, rng)
    return [split[name] for name in names]


def _studies(patient: int, types: tuple[str, ...], count: int, split: str, rng: np.random.Generator) -> list[CtStudy]:
    """Return the studies of a patient; the second shows the other lesion if there is one, else the same one later."""
    sex, age = str(rng.choice(["M", "F"])), int(rng.integers(25, 88))
    studies = []
    for study in range(count):
        number, first = int(rng.integers(FEWEST, MOST + 1)), int(rng.integers(5, 240))
        studies.append(
            CtStudy(
                patient=patient,
                study=study + 1,
                series=int(rng.integers(1, 4)),
                types=types,
                shown=study % len(types),
                slices=tuple(range(first, first + number)),
                key=first + int(rng.integers((number - 1) // 2, number // 2 + 1)),
                spacing=float(rng.choice(SPACINGS)),
                sex=sex,
                age=age,
                split=split,
            )
        )
    return studies
