"""Findings that are a matter of the body's shape: heart size, inflation, diaphragm, spine, mediastinum."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cxrflow.cohort.openi_index import IndexedFinding
from cxrflow.cohort.simulation.patient import Patient

Change = Callable[[Patient, IndexedFinding, float, np.random.Generator], Patient]


def _large_heart(patient: Patient, finding: IndexedFinding, amount: float, rng: np.random.Generator) -> Patient:
    return replace(patient, heart=1.05 + 0.33 * amount + rng.uniform(0, 0.06))


def _overinflated(patient: Patient, finding: IndexedFinding, amount: float, rng: np.random.Generator) -> Patient:
    fall = 6 + 8 * amount
    domes = (patient.domes[0] - fall, patient.domes[1] - fall)
    return replace(patient, height=1.06, lung=patient.lung * 0.85, heart=patient.heart * 0.94, domes=domes)


def _underinflated(patient: Patient, finding: IndexedFinding, amount: float, rng: np.random.Generator) -> Patient:
    rise = 8 + 8 * amount
    domes = (patient.domes[0] + rise, patient.domes[1] + rise)
    return replace(patient, height=min(patient.height, 0.94), lung=patient.lung * 1.12, domes=domes)


def _raised_dome(patient: Patient, finding: IndexedFinding, amount: float, rng: np.random.Generator) -> Patient:
    rise = 14 + 10 * amount
    right = finding.side == "right" or (finding.side is None and rng.random() < 0.6)
    domes = (patient.domes[0] + rise, patient.domes[1]) if right else (patient.domes[0], patient.domes[1] + rise)
    return replace(patient, domes=domes)


def _bent_spine(patient: Patient, finding: IndexedFinding, amount: float, rng: np.random.Generator) -> Patient:
    return replace(patient, scoliosis=(5 + 7 * amount) * rng.choice([-1, 1]))


def _wide_mediastinum(patient: Patient, finding: IndexedFinding, amount: float, rng: np.random.Generator) -> Patient:
    return replace(patient, mediastinum=1.3 + 0.35 * amount)


SHAPES: dict[str, Change] = {
    "cardiomegaly": _large_heart,
    "copd": _overinflated,
    "elevated_diaphragm": _raised_dome,
    "emphysema": _overinflated,
    "enlarged_mediastinum": _wide_mediastinum,
    "hyperinflation": _overinflated,
    "hypoinflation": _underinflated,
    "scoliosis": _bent_spine,
}
