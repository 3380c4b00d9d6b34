"""The data set of patchib at the size of MIMIC-CXR, from the canonical tables and back: our time and peak memory.

As a program (FOLDER and a job), alone in its process, it prints its peak memory.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.timing import Comparison, apart, peak_mb
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.tables import write_manifest, write_reports, write_split
from cxrflow.files import write_table
from cxrflow.patchib.data_settings import MasterSettings
from cxrflow.patchib.master import MasterFiles, build_master
from cxrflow.patchib.master_lines import read_master

IMAGES = 400_000
SENTENCE = "The heart is not enlarged and the lungs are clear, without effusion or pneumothorax in this portable view."
OTHER = "preamble: FINAL REPORT\nexamination: CHEST (PA AND LAT)\nindication: ___F with cough\ncomparison: ___."


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """Yield the comparisons of this room."""
    with tempfile.TemporaryDirectory() as folder:
        apart("patchib_master", folder, "make_up")
        yield [
            Comparison(
                f"master file of {IMAGES:,} radiographs: {job}ing it",
                partial(apart, "patchib_master", folder, job),
                None,
                goal=float("nan"),
                repeats=1,
            )
            for job in ("build", "read")
        ]


def make_up(folder: Path) -> None:
    """Write canonical tables: 1.65 images a study, 3.5 studies a patient, reports of about 700 characters."""
    random = np.random.default_rng(0)
    study = np.sort(random.integers(int(IMAGES / 1.65), size=IMAGES))
    patient = (study / 3.5).astype(int)
    images = pd.DataFrame(
        {"image_id": [f"{number:08x}-6dc76a8b-1f5a2b11-0c58b07c-38bb1f1a" for number in range(IMAGES)]}
    )
    images["patient_id"], images["study_id"] = (10_000_000 + patient).astype(str), (50_000_000 + study).astype(str)
    folders = "p" + images["patient_id"].str[:2] + "/p" + images["patient_id"] + "/s" + images["study_id"]
    path = "files/" + folders + "/" + images["image_id"] + ".jpg"
    blank = dict.fromkeys(("height", "width", "sex", "age", "official_split", "boxes"))
    view = random.choice(["PA", "AP", "LATERAL"], size=IMAGES, p=[0.45, 0.5, 0.05])
    values = random.choice([1.0, 0.0, -1.0, np.nan], size=(IMAGES, len(CHEXPERT_LABELS)), p=[0.15, 0.1, 0.05, 0.7])
    labels = pd.DataFrame(values, columns=list(CHEXPERT_LABELS))
    manifest = images.assign(path=path, view=view, **blank).join(labels)
    write_manifest(folder / "manifest.parquet", manifest, list(CHEXPERT_LABELS))
    split = np.where(patient % 128 == 0, "validate", np.where(patient % 128 == 1, "test", "train"))
    write_split(folder / "split.parquet", images.assign(split=split))
    write_table(folder / "images.parquet", images[["image_id"]].assign(row=np.arange(IMAGES)))
    studies = images[["study_id", "patient_id"]].drop_duplicates("study_id")
    words = np.array(SENTENCE.split())[random.integers(len(SENTENCE.split()), size=(len(studies), 110))]
    texts = [" ".join(row) for row in words]
    write_reports(
        folder / "reports.parquet",
        studies.assign(findings=texts, impression="No acute cardiopulmonary process.", other=OTHER, text=texts),
    )


def build(folder: Path) -> None:
    """Write the master file and its tables; whole reports are the longest texts."""
    names = ("manifest", "split", "images", "images", "reports")
    outputs = MasterFiles(folder / "master.jsonl", folder / "distribution.csv", folder / "dropped.csv")
    cohort = CohortFiles(*(folder / f"{name}.parquet" for name in names))
    build_master(cohort, outputs, MasterSettings(text_sections="all"), "made-up", False)


def read(folder: Path) -> None:
    """Read the master file."""
    read_master(folder / "master.jsonl")


JOBS = {job.__name__: job for job in (make_up, build, read)}

if __name__ == "__main__":
    JOBS[sys.argv[2]](Path(sys.argv[1]))
    print(json.dumps({"peak_mb": peak_mb()}))
