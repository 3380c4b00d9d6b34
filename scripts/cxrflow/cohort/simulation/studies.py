"""Which reports become which simulated studies of which patients.

Open-I has one study a patient. A share of the reports (`second_study_share`) is made a second study of the patient
before them, with the same anatomy, so that patient-level splitting matters. Three in four of the chosen reports have an
index that names a finding with a label, as far as there are such; normal and other ones fill up. So a cohort smaller
than Open-I is enriched for disease, and its prevalences are those of no clinic.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from cxrflow.cohort.openi import OpenIReport
from cxrflow.cohort.openi_index import (
    LABEL_OF,
    IndexedFinding,
    index_labels,
    indexed_findings,
    is_indexed,
    is_normal,
)
from cxrflow.cohort.simulation.scene import Scene, is_bedside
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.errors import UserError

SPLITS = ("train", "validate", "test")
_PATIENTS, _SPLITS, _CHOICE, _GROUPS, _IDS, _DATES = range(101, 107)  # one stream of random numbers for each purpose


@dataclass(frozen=True)
class Study:
    """One report and the images to simulate for it. `patient` numbers the patient for seeds; ids are as in MIMIC."""

    report: OpenIReport
    findings: tuple[IndexedFinding, ...]
    normal: bool
    patient: int
    subject_id: int
    study_id: int
    dicom_ids: tuple[str, ...]
    split: str
    date: int
    time: float

    @property
    def folder(self) -> str:
        """Folder of the study below the root of the tree."""
        return f"files/p{str(self.subject_id)[:2]}/p{self.subject_id}/s{self.study_id}"

    @property
    def labels(self) -> frozenset[str]:
        """Labels of MIMIC-CXR-JPG that the human index makes positive."""
        return index_labels(self.report.index)

    @property
    def scene(self) -> Scene:
        """What is drawn for the study, with the report's number for its random streams."""
        return Scene(
            name=str(self.study_id),
            number=int(self.report.uid),
            patient=self.patient,
            findings=self.findings,
            bedside=is_bedside(self.findings),
            images=self.dicom_ids,
            files=tuple(self.image_path(dicom_id) for dicom_id in self.dicom_ids),
        )

    def image_path(self, dicom_id: str) -> str:
        """Path of one image below the root of the tree."""
        return f"{self.folder}/{dicom_id}.jpg"


def plan_studies(reports: list[OpenIReport], settings: SimulationSettings) -> list[Study]:
    """Choose reports and give them patients, splits, ids and dates; the same settings give the same plan.

    Raises UserError where there are fewer usable reports (coded, with some text) than studies asked for.
    """
    usable = [report for report in reports if is_indexed(report.index) and (report.findings or report.impression)]
    if len(usable) < settings.studies:
        raise UserError(
            f"{settings.studies} studies were asked for; Open-I has {len(usable)} usable reports.",
            f"Set the simulation's `studies` to {len(usable)} or less.",
        )
    chosen = _choose(usable, settings)
    patients = _group(len(chosen), settings)
    splits = _split(patients[-1] + 1, settings)
    subjects = _numbers(settings, 0, patients[-1] + 1, 10_000_000)
    studies = _numbers(settings, 1, len(chosen), 50_000_000)
    return [
        _study(report, patient, splits[patient], subjects[patient], study, settings)
        for report, patient, study in zip(chosen, patients, studies, strict=True)
    ]


def _study(
    report: OpenIReport, patient: int, split: str, subject: int, study: int, settings: SimulationSettings
) -> Study:
    rng = np.random.default_rng([settings.seed, _DATES, int(report.uid)])
    images = 2 if rng.random() < settings.second_image_share else 1
    day = np.datetime64("2110-01-01") + int(rng.integers(0, 90 * 365))
    return Study(
        report=report,
        findings=tuple(indexed_findings(report.index)),
        normal=is_normal(report.index),
        patient=patient,
        subject_id=subject,
        study_id=study,
        dicom_ids=tuple(_dicom_id(settings.seed, report.uid, image) for image in range(images)),
        split=split,
        date=int(str(day).replace("-", "")),
        time=round(float(rng.uniform(0, 86_400)) // 1 + 0.5, 3),
    )


def _choose(reports: list[OpenIReport], settings: SimulationSettings) -> list[OpenIReport]:
    rng = np.random.default_rng([settings.seed, _CHOICE])
    order = [reports[index] for index in rng.permutation(len(reports))]
    ill = [report for report in order if any(LABEL_OF[one.finding] for one in indexed_findings(report.index))]
    names = {report.uid for report in ill}
    rest = [report for report in order if report.uid not in names]
    share = min(len(ill), round(0.75 * settings.studies))
    return sorted((ill[:share] + rest + ill[share:])[: settings.studies], key=lambda report: int(report.uid))


def _group(count: int, settings: SimulationSettings) -> list[int]:
    """Number of the patient of each study, ascending: a second study follows the first at once."""
    rng = np.random.default_rng([settings.seed, _GROUPS])
    patients = [0]
    for draw in rng.random(count - 1):
        follows = draw < settings.second_study_share and patients.count(patients[-1]) < 2
        patients.append(patients[-1] + (0 if follows else 1))
    return patients


def _split(count: int, settings: SimulationSettings) -> list[str]:
    """Split of each patient: exact shares, at least one patient in each."""
    rng = np.random.default_rng([settings.seed, _SPLITS])
    _, validate, test = (max(1, round(share * count)) for share in settings.split_shares)
    names = ["validate"] * validate + ["test"] * test
    names += ["train"] * (count - len(names))
    return [names[place] for place in rng.permutation(count)]


def _numbers(settings: SimulationSettings, stream: int, count: int, first: int) -> list[int]:
    """Distinct 8-digit numbers from `first` on, ascending."""
    rng = np.random.default_rng([settings.seed, _IDS, stream])
    found: set[int] = set()
    while len(found) < count:
        found.update(int(number) for number in rng.integers(0, 10_000_000, count - len(found)))
    return [first + number for number in sorted(found)]


def _dicom_id(seed: int, uid: str, image: int) -> str:
    digest = hashlib.sha256(f"{seed}/{uid}/{image}".encode()).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))
