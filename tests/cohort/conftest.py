"""What tests of cohorts share: a small tree in the layout of MIMIC-CXR-JPG, made by hand, and a chest of ellipsoids."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.simulation.anatomy import save_anatomy
from cxrflow.cohort.simulation.phantom import phantom_anatomy

REPORT = """ FINAL REPORT
 INDICATION: Cough.

 FINDINGS:  The heart is enlarged. No effusion.

 IMPRESSION:  Cardiomegaly.
"""
# image, patient, study, split, view
ROWS = [
    ("a-1", "10000001", "50000001", "train", "PA"),
    ("a-2", "10000001", "50000001", "train", "LATERAL"),
    ("b-1", "10000002", "50000002", "validate", "AP"),
    ("c-1", "11000003", "50000003", "test", "PA"),
]


class Tree:
    """The folders of a MIMIC-CXR-JPG copy, and ways to damage them."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "jpg"
        self.reports = folder / "reports"
        for image, patient, study, _, _ in ROWS:
            self.image(image, patient, study).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((30, 20), 100, np.uint8)).save(self.image(image, patient, study))
            self.report(patient, study).parent.mkdir(parents=True, exist_ok=True)
            self.report(patient, study).write_text(REPORT)
        self.dicom = folder / "dicom"
        for image, patient, study, _, _ in ROWS:
            file = self.dicom / f"files/p{patient[:2]}/p{patient}/s{study}/{image}.dcm"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"pixels")
        self.records().to_csv(self.dicom / "cxr-record-list.csv.gz", index=False)
        self.write("split", self.split())
        self.write("metadata", self.metadata())
        self.write("chexpert", self.labels())

    def image(self, image: str, patient: str, study: str) -> Path:
        return self.root / f"files/p{patient[:2]}/p{patient}/s{study}/{image}.jpg"

    def report(self, patient: str, study: str) -> Path:
        return self.reports / f"files/p{patient[:2]}/p{patient}/s{study}.txt"

    def write(self, name: str, table: pd.DataFrame) -> None:
        table.to_csv(self.root / f"mimic-cxr-2.0.0-{name}.csv.gz", index=False)

    def split(self) -> pd.DataFrame:
        rows = [(image, study, patient, split) for image, patient, study, split, _ in ROWS]
        return pd.DataFrame(rows, columns=["dicom_id", "study_id", "subject_id", "split"])

    def metadata(self) -> pd.DataFrame:
        rows = [(image, patient, study, view, 30, 20) for image, patient, study, _, view in ROWS]
        return pd.DataFrame(rows, columns=["dicom_id", "subject_id", "study_id", "ViewPosition", "Rows", "Columns"])

    def records(self) -> pd.DataFrame:
        rows = [
            (patient, study, image, f"files/p{patient[:2]}/p{patient}/s{study}/{image}.dcm")
            for image, patient, study, _, _ in ROWS
        ]
        return pd.DataFrame(rows, columns=["subject_id", "study_id", "dicom_id", "path"])

    def labels(self) -> pd.DataFrame:
        studies = {study: patient for _, patient, study, _, _ in ROWS}
        table = pd.DataFrame({"subject_id": list(studies.values()), "study_id": list(studies)})
        for label in CHEXPERT_LABELS:
            table[label] = None
        table["Cardiomegaly"] = [1.0, -1.0, 0.0]
        return table


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture(scope="session")
def chest(tmp_path_factory) -> Path:
    """File of the phantom."""
    path = tmp_path_factory.mktemp("anatomy") / "phantom.npz"
    save_anatomy(phantom_anatomy(), path)
    return path
