"""The files of DeepLesion around the simulated slices: DL_info.csv, with the types of all rows known."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cxrflow.cohort.hounsfield import stored
from cxrflow.cohort.labels import LESION_TYPES
from cxrflow.cohort.layouts import DEEPLESION_TABLE
from cxrflow.cohort.simulation.ct_measure import lengths
from cxrflow.cohort.simulation.ct_plan import CtStudy
from cxrflow.cohort.simulation.ct_slices import draw_scan
from cxrflow.cohort.simulation.rendering import MarkedBox
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.files import write_table

FOLDER = "deeplesion"
COLUMNS = (
    "File_name", "Patient_index", "Study_index", "Series_ID", "Key_slice_index", "Measurement_coordinates",
    "Bounding_boxes", "Lesion_diameters_Pixel_", "Normalized_lesion_location", "Coarse_lesion_type", "Possibly_noisy",
    "Slice_range", "Spacing_mm_px_", "Image_size", "DICOM_windows", "Patient_gender", "Patient_age", "Train_Val_Test",
)  # fmt: skip
_WINDOWS = {"lung": "-1500, 500", "bone": "-450, 1050"}
_PARTS = {"train": 1, "validate": 2, "test": 3}

Boxes = dict[str, tuple[MarkedBox, ...]]


def encode_slice(hounsfield: NDArray[np.float32]) -> bytes:
    """Return the 16-bit PNG file of a slice in HU, quickly rather than small: noise hardly gets smaller anyway."""
    buffer = io.BytesIO()
    Image.fromarray(stored(hounsfield)).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def write_deeplesion(root: Path, studies: list[CtStudy], boxes: Boxes, settings: SimulationSettings) -> None:
    """Write the table of lesions below `root`; `boxes` are by image."""
    write_table(root / FOLDER / DEEPLESION_TABLE, lesion_rows(studies, boxes, settings))


def lesion_rows(studies: list[CtStudy], boxes: Boxes, settings: SimulationSettings) -> pd.DataFrame:
    """Return one row per lesion that a key slice shows, in DeepLesion's columns."""
    rows = [
        _row(study, image, marked, settings) for study in studies for image in study.images for marked in boxes[image]
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(study: CtStudy, image: str, marked: MarkedBox, settings: SimulationSettings) -> tuple[object, ...]:
    measured, location = marked.text.split("; ")
    ends = np.array([float(value) for value in measured.split(", ")]).reshape(4, 2)
    box, size = marked.box, settings.size
    step = draw_scan(study, settings).field / size
    return (
        image, study.patient, study.study, study.series, study.key, measured,
        _joined(box.x, box.y, box.x + box.w, box.y + box.h), _joined(*lengths(ends)), location,
        LESION_TYPES.index(marked.label) + 1, 0, _joined(study.slices[0], study.slices[-1]),
        _joined(step, step, study.spacing), _joined(size, size), _WINDOWS.get(marked.label, "-175, 275"),
        study.sex, study.age, _PARTS[study.split],
    )  # fmt: skip


def _joined(*values: float) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
