"""The long-tailed label sets NIH-CXR-LT and MIMIC-CXR-LT (MICCAI 2023): classes, published counts, file names."""

from pathlib import Path
from typing import Literal

LongTail = Literal["nih-cxr-lt", "mimic-cxr-lt"]

NO_FINDING = "No Finding"
NIH_CLASSES: dict[str, int] = {
    "No Finding": 44_625, "Infiltration": 12_700, "Effusion": 7_900, "Atelectasis": 7_600, "Nodule": 4_400,
    "Mass": 3_700, "Consolidation": 2_600, "Pneumothorax": 2_400, "Pleural Thickening": 2_000, "Cardiomegaly": 1_600,
    "Emphysema": 1_300, "Edema": 1_300, "Fibrosis": 1_100, "Subcutaneous Emphysema": 957, "Pneumonia": 806,
    "Tortuous Aorta": 598, "Calcification of the Aorta": 368, "Pneumoperitoneum": 214, "Hernia": 130,
    "Pneumomediastinum": 88,
}  # fmt: skip
"""Classes of NIH-CXR-LT in their published order, with their number of training images (above 1,000: to the nearest
hundred, as far as it was published)."""
MIMIC_CLASSES: dict[str, int] = {
    "Support Devices": 73_641, "Lung Opacity": 57_600, "Cardiomegaly": 55_000, "Pleural Effusion": 53_000,
    "Atelectasis": 51_100, "Pneumonia": 34_400, "Edema": 32_100, "No Finding": 30_600,
    "Enlarged Cardiomediastinum": 19_900, "Consolidation": 12_400, "Pneumothorax": 11_600, "Fracture": 7_800,
    "Calcification of the Aorta": 2_600, "Tortuous Aorta": 2_200, "Subcutaneous Emphysema": 1_900,
    "Lung Lesion": 1_700, "Pneumomediastinum": 571, "Pneumoperitoneum": 448, "Pleural Other": 373,
}  # fmt: skip
"""The same for MIMIC-CXR-LT."""
CLASSES: dict[LongTail, dict[str, int]] = {"nih-cxr-lt": NIH_CLASSES, "mimic-cxr-lt": MIMIC_CLASSES}
ADDED_CLASSES = (
    "Calcification of the Aorta", "Pneumomediastinum", "Pneumoperitoneum", "Subcutaneous Emphysema", "Tortuous Aorta",
)  # fmt: skip
"""Rare classes that the authors added to the original labels of both data sets."""
PARTS = {"train": "train", "val": "validate", "test": "test"}
"""The published part of each label file, and the canonical split that it is."""


def label_file(folder: Path, labels: LongTail, part: str) -> Path:
    """Return the path of one label file, such as miccai2023_nih-cxr-lt_labels_val.csv."""
    return folder / f"miccai2023_{labels}_labels_{part}.csv"
