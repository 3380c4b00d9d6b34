"""What is drawn for each class of NIH-CXR-LT, and which class a drawn finding makes positive."""

from collections.abc import Collection

import numpy as np

from cxrflow.cohort.long_tail import NIH_CLASSES, NO_FINDING
from cxrflow.cohort.openi_index import IndexedFinding
from cxrflow.cohort.simulation.drawn import Drawn, pick_device

_LOBES = ("upper", "middle", "lower", "lower")

# Infiltration is the vaguest class of the data set: patchy in most, interstitial or streaky in others. Pneumonia fills
# part of a lobe, Consolidation lies anywhere. Free air is seen under the right dome more easily than by the stomach.
NIH_DRAWN: dict[str, Drawn] = {
    "Infiltration": Drawn(
        "opacity", (None, None, "base", "lower", "hilum"), words=("", "", "", "/interstitial", "/streaky")
    ),
    "Effusion": Drawn("effusion"),
    "Atelectasis": Drawn("atelectasis", (None, None, "base", "middle")),
    "Nodule": Drawn("nodule"),
    "Mass": Drawn("mass"),
    "Consolidation": Drawn("consolidation", (None, None, "base", "lower")),
    "Pneumothorax": Drawn("pneumothorax"),
    "Pleural Thickening": Drawn("pleural_thickening", (None, None, "apex")),
    "Cardiomegaly": Drawn("cardiomegaly"),
    "Emphysema": Drawn("emphysema"),
    "Edema": Drawn("edema"),
    "Fibrosis": Drawn("fibrosis"),
    "Subcutaneous Emphysema": Drawn("subcutaneous_emphysema"),
    "Pneumonia": Drawn("pneumonia", _LOBES),
    "Tortuous Aorta": Drawn("tortuous_aorta"),
    "Calcification of the Aorta": Drawn("aortic_calcification"),
    "Pneumoperitoneum": Drawn("pneumoperitoneum", sides=("right", "right", "bilateral", "bilateral", "left")),
    "Hernia": Drawn("hernia"),
    "Pneumomediastinum": Drawn("pneumomediastinum"),
}
NIH_LABEL_OF: dict[str, tuple[str, ...]] = {drawn.finding: (name,) for name, drawn in NIH_DRAWN.items()}
"""Finding -> the class of NIH-CXR-LT that it makes positive; other findings (devices) are drawn without a label."""

_DEVICES = {"AP": 0.3, "PA": 0.05}  # share of images with a line or tube, whatever the findings


def drawn_findings(classes: Collection[str], view: str, rng: np.random.Generator) -> tuple[IndexedFinding, ...]:
    """Return what is drawn for an image of the given classes, in the classes' published order.

    Lines and tubes come on top, more at the bedside (AP) than upright: the data set has no label for them.
    """
    named = [name for name in NIH_CLASSES if name in classes and name != NO_FINDING]
    findings = [NIH_DRAWN[name].pick(name, rng) for name in named]
    if rng.random() < _DEVICES.get(view, 0.0):
        findings.append(pick_device(rng))
    return tuple(findings)
