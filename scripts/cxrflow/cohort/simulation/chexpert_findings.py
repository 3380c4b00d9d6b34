"""What is drawn for each label of CheXpert, and which labels experts would give to what was drawn."""

from collections.abc import Iterable, Mapping

import numpy as np

from cxrflow.cohort.long_tail import NO_FINDING
from cxrflow.cohort.openi_index import IndexedFinding
from cxrflow.cohort.simulation.chexpert_table import LABELS
from cxrflow.cohort.simulation.drawn import Drawn, pick_device
from cxrflow.cohort.simulation.nih_findings import NIH_DRAWN

DEVICES, OPACITY = "Support Devices", "Lung Opacity"
PRESENT, ABSENT, UNCERTAIN = "1.0", "0.0", "-1.0"
"""Cells of the table; an empty one was not mentioned."""
CHEXPERT_DRAWN: dict[str, Drawn] = {
    "Enlarged Cardiomediastinum": Drawn("enlarged_mediastinum"),
    "Cardiomegaly": NIH_DRAWN["Cardiomegaly"],
    OPACITY: NIH_DRAWN["Infiltration"],
    "Lung Lesion": NIH_DRAWN["Nodule"],
    "Edema": NIH_DRAWN["Edema"],
    "Consolidation": NIH_DRAWN["Consolidation"],
    "Pneumonia": NIH_DRAWN["Pneumonia"],
    "Atelectasis": NIH_DRAWN["Atelectasis"],
    "Pneumothorax": NIH_DRAWN["Pneumothorax"],
    "Pleural Effusion": NIH_DRAWN["Effusion"],
    "Pleural Other": NIH_DRAWN["Pleural Thickening"],
}
"""Nothing is drawn for a fracture, so no image shows one."""
PARTS = {
    OPACITY: {"Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis"},
    "Enlarged Cardiomediastinum": {"Cardiomegaly"},
}
"""Labels that stand for any of others, in CheXpert's hierarchy."""
_SHOWN = 0.5  # share of uncertain findings that are there


def shown_labels(cells: Mapping[str, str], rng: np.random.Generator) -> list[str]:
    """Return the labels of a study that its image shows, in the table's order.

    Present ones, and every other of the uncertain ones at random: a labeler says so where a report leaves it open.
    """
    drawn = [label for label in LABELS if label in CHEXPERT_DRAWN or label == DEVICES]
    return [
        label for label in drawn if cells[label] == PRESENT or (cells[label] == UNCERTAIN and rng.random() < _SHOWN)
    ]


def drawn_findings(shown: Iterable[str], rng: np.random.Generator) -> tuple[IndexedFinding, ...]:
    """Return what is drawn for the labels that are shown; an opacity that is a consolidation is drawn as that alone."""
    labels = list(shown)
    named = [label for label in labels if label != OPACITY or not PARTS[OPACITY] & set(labels)]
    return tuple(pick_device(rng) if label == DEVICES else CHEXPERT_DRAWN[label].pick(label, rng) for label in named)


def expert_cells(shown: Iterable[str]) -> dict[str, str]:
    """Return the cells of all labels as experts fill them in: present or absent, with what a label stands for."""
    positive = set(shown)
    positive |= {whole for whole, parts in PARTS.items() if parts & positive}
    positive |= set() if positive - {DEVICES} else {NO_FINDING}
    return {label: PRESENT if label in positive else ABSENT for label in LABELS}
