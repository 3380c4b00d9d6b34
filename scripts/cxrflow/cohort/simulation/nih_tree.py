"""The files of ChestX-ray14 and of NIH-CXR-LT around the simulated images: tables, lists, boxes, label files.

The table of findings has the 14 original labels; the five classes that NIH-CXR-LT added are in its label files only, as
in the original data.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cxrflow.cohort.layouts import NIH_BOXES, NIH_TABLES, NIH_TEST_LISTS, NIH_TRAIN_LISTS
from cxrflow.cohort.long_tail import ADDED_CLASSES, NIH_CLASSES, PARTS, label_file
from cxrflow.cohort.simulation.nih_plan import NihImage
from cxrflow.cohort.simulation.nih_table import COLUMNS
from cxrflow.cohort.simulation.rendering import MarkedBox
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.files import write_table, write_text

FOLDER, LABELS = "nih", "labels"
SIDE = 1024  # pixels of the published images, which the boxes are measured in whatever size ours have
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
_BOX_SPELLING = {"Infiltration": "Infiltrate"}


def write_nih(
    root: Path, images: list[NihImage], boxes: dict[str, tuple[MarkedBox, ...]], settings: SimulationSettings
) -> None:
    """Write tables, lists and label files below `root`; `boxes` are by image."""
    folder = root / FOLDER
    write_table(folder / NIH_TABLES[0], pd.DataFrame([image.row for image in images], columns=list(COLUMNS)))
    write_text(folder / NIH_TRAIN_LISTS[0], _listed(image for image in images if image.split != "test"))
    write_text(folder / NIH_TEST_LISTS[0], _listed(image for image in images if image.split == "test"))
    lines = [BOX_HEADER, *_box_lines(images, boxes, SIDE / settings.size)]
    write_text(folder / NIH_BOXES, "".join(f"{line}\n" for line in lines))
    for part, split in PARTS.items():
        path = label_file(folder / LABELS, "nih-cxr-lt", part)
        write_table(path, long_tail_table([image for image in images if image.split == split]))


def long_tail_table(images: list[NihImage]) -> pd.DataFrame:
    """One row per image: id, 1 or 0 for each of the 20 classes in their published order, subj_id."""
    rows = [
        (image.image_id, *(int(name in image.classes) for name in NIH_CLASSES), image.patient_id) for image in images
    ]
    return pd.DataFrame(rows, columns=["id", *NIH_CLASSES, "subj_id"])


def box_label(name: str) -> str:
    """Return the spelling of a class in the table of boxes: that of ChestX-ray14 where it has the class."""
    return name if name in ADDED_CLASSES else _BOX_SPELLING.get(name, name.replace(" ", "_"))


def _box_lines(images: list[NihImage], boxes: dict[str, tuple[MarkedBox, ...]], scale: float) -> Iterator[str]:
    for image in images:
        for marked in boxes[image.image_id]:
            sides = (marked.box.x, marked.box.y, marked.box.w, marked.box.h)
            numbers = ",".join(f"{side * scale:.15g}" for side in sides)
            yield f"{image.image_id},{box_label(marked.label)},{numbers}"


def _listed(images: Iterator[NihImage]) -> str:
    return "".join(f"{name}\n" for name in sorted(image.image_id for image in images))
