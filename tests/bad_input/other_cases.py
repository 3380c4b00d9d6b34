"""Bad inputs of NIH ChestX-ray14, CheXpert and CheXpert Plus."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bad_input.case import Area, Case, error, row, whole_way, with_grey
from tests.cohort import test_chexpert, test_chexpert_plus, test_nih
from tests.cohort.test_chexpert import NAME, TRAIN, VALID
from tests.cohort.test_chexpert_plus import ENTRIES, TABLE
from tests.cohort.test_long_tail_labels import NihTree
from tests.cohort.test_nih import ROWS

from cxrflow.cohort.adapters.raw import Source

ENTRY = "Data_Entry_2017_v2020.csv"
NIH_BOX = "BBox_List_2017.csv"


def grey(build: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Build a tree whose images have more than one grey value."""

    def made(folder: Path) -> Any:
        tree = build(folder)
        with_grey(tree.root)
        return tree

    return made


def reader(layout: str) -> Callable[[Any], list[str]]:
    def read(made: Any) -> list[str]:
        labels = getattr(made, "labels", None)
        long_tail = labels if isinstance(labels, Path) else None
        return whole_way(layout, Source(made.root, made.root, long_tail=long_tail), made.root.parent)

    return read


def nih_row(old: str, new: str) -> Callable[[test_nih.Tree], None]:
    """Edit the first row of NIH's table."""
    return lambda made: made.table([ROWS[0].replace(old, new), *ROWS[1:]])


def wider(made: test_nih.Tree) -> None:
    made.table(ROWS, test_nih.HEADER.replace("Patient Gender", "Gender of patient"))


FINDING = "a finding is not one of the 15 labels, or contradicts them"
APART = "the image's name, the patient and the follow-up number do not belong together"
BOX = "a box has an unknown label, a side that is no number, or no area"
NIH: tuple[Case, ...] = (
    row("an unknown finding", ENTRY, FINDING, nih_row("Emphysema", "Dextrocardia")),
    row("No Finding beside a finding", ENTRY, FINDING, nih_row("Emphysema", "No Finding")),
    row("no findings at all", ENTRY, FINDING, nih_row("Cardiomegaly|Emphysema", "")),
    row("an image named after another patient", ENTRY, APART, nih_row("00000001_000.png", "00000009_000.png")),
    row("a follow-up number in words", ENTRY, APART, nih_row(",0,1,", ",first,1,")),
    row("a row without a patient", ENTRY, APART, nih_row(",0,1,", ",0,,")),
    row("an image that is there twice", ENTRY, "the image's id is not unique",
        lambda made: made.table([*ROWS, ROWS[0]])),
    row("an image in both lists", "train_val_list.txt", "the image is in both official lists",
        lambda made: made.lists(test_nih.TRAIN, [*test_nih.TEST, test_nih.TRAIN[0]])),
    row("an image in neither list", "train_val_list.txt", "the image is in neither official list",
        lambda made: made.lists(test_nih.TRAIN[1:], test_nih.TEST)),
    row("a box with an unknown label", NIH_BOX, BOX, lambda made: made.boxes("00000001_000.png,Goitre,1,2,3,4,,,")),
    row("a box whose side is no number", NIH_BOX, BOX,
        lambda made: made.boxes("00000001_000.png,Cardiomegaly,1,2,wide,4,,,")),
    row("a box of negative width", NIH_BOX, BOX, lambda made: made.boxes("00000001_000.png,Cardiomegaly,1,2,-3,4,,,")),
    error("no column of sexes", ENTRY, "has none of the columns", wider),
    row("an empty list", "test_list.txt", "the image is in neither official list",
        lambda made: (made.root / "test_list.txt").write_bytes(b"")),
)  # fmt: skip
LONG_TAIL: tuple[Case, ...] = (
    error("a patient other than in the raw table", "long-tailed labels", "is another one in the raw table",
          lambda made: made.change("train", subj_id=9)),
    error("the first classes of another label set", "long-tailed labels", "lacks",
          lambda made: made.file("val").write_text("id,Fracture\n00000002_000.png,1\n")),
    error("a missing part", "long-tailed labels", "is missing", lambda made: made.file("test").unlink()),
)  # fmt: skip


def chexpert(*rows: str) -> Callable[[test_chexpert.Tree], None]:
    """Add rows to CheXpert's training table."""
    return lambda made: made.table("train", [*TRAIN, *rows])


TAIL = "Female,68,Frontal,AP" + "," * 14
CHEXPERT: tuple[Case, ...] = (
    row("a path without a patient", "train.csv", "the path names no patient, study and view",
        chexpert(f"{NAME}/train/somebody.jpg,{TAIL}")),
    row("no path", "train.csv", "the path names no patient, study and view", chexpert(f",{TAIL}")),
    row("neither frontal nor lateral", "train.csv", "the image is neither frontal nor lateral",
        chexpert(f"{NAME}/train/patient00009/study1/view1_frontal.jpg,Male,5,Oblique,," + "," * 13)),
    row("the label 2", "train.csv", "a label is not 1, 0, -1 or empty",
        chexpert(f"{NAME}/train/patient00009/study1/view1_frontal.jpg,Male,5,Frontal,AP,2" + "," * 13)),
    row("an image in both tables", "valid.csv", "the image's id is not unique",
        lambda made: made.table("valid", [*VALID, TRAIN[0]])),
    row("an image without a file", "train.csv", "the image file is missing",
        chexpert(f"{NAME}/train/patient00009/study1/view1_frontal.jpg,{TAIL}")),
    row("a folder in place of an image", "train/", "the image file is missing",
        lambda made: ((made.root / "train/patient00001/study1/view1_frontal.jpg").unlink(),
                      (made.root / "train/patient00001/study1/view1_frontal.jpg").mkdir())),
    error("a path that climbs out of the root", "train.csv", "leads out of",
          chexpert(f"{NAME}/../../patient00009/study1/view1_frontal.jpg,{TAIL}")),
)  # fmt: skip


def lines(*written: str) -> Callable[[test_chexpert_plus.Tree], None]:
    """Add lines to the labels of CheXpert Plus."""
    sound = [json.dumps(test_chexpert_plus.labels(entry, Edema=1.0)) for entry in ENTRIES]
    return lambda made: made.labels([*sound, *written])


def entry(at: int, **changes: object) -> Callable[[test_chexpert_plus.Tree], None]:
    """Change a row of the table of CheXpert Plus."""
    return lambda made: made.table([{**row, **(changes if n == at else {})} for n, row in enumerate(ENTRIES)])


NO_RECORD = "the line is not a JSON object with path_to_image"
JSON = "chexbert_labels/report_fixed.json"
PLUS: tuple[Case, ...] = (
    row("a line that is cut off", JSON, NO_RECORD, lines('{"path_to_image": "train/pat')),
    row("a line of 100,000 brackets", JSON, NO_RECORD, lines("[" * 100_000)),
    row("a number of 10,000 digits", JSON, NO_RECORD, lines('{"path_to_image": ' + "9" * 10_000 + "}")),
    row("a label in words", JSON, "a label is not 1, 0, -1 or empty",
        lines(json.dumps(test_chexpert_plus.labels(
            {"path_to_image": "train/patient00009/study1/view1_frontal.jpg"}, Edema="yes")))),
    row("an image with two lines", JSON, "the image has two lines of labels",
        lines(json.dumps(test_chexpert_plus.labels(ENTRIES[0], Edema=0.0)))),
    row("a line that names no image", JSON, "the path names no patient, study and view",
        lines(json.dumps(test_chexpert_plus.labels({"path_to_image": "elsewhere.png"})))),
    row("an image without a patient", TABLE, "the image has no patient", entry(0, deid_patient_id=None)),
    row("an unknown split", TABLE, "no known split", entry(0, split="holdout")),
    row("one study with two reports", TABLE, "the study's rows have unlike reports",
        entry(1, section_findings="Another text of this study.")),
    row("a study without a text", TABLE, "the report is missing",
        entry(2, **dict.fromkeys(test_chexpert_plus.TEXTS))),
    error("a path that climbs out of the root", TABLE, "leads out of",
          entry(0, path_to_image="../../patient00001/study1/view1_frontal.jpg")),
    error("no line of labels", JSON, "has no line", lambda made: made.labels([])),
    error("lines that lack a label", JSON, "lack", lambda made: made.labels(
        [json.dumps({"path_to_image": ENTRIES[0]["path_to_image"], "Edema": 1.0})])),
    error("missing labels", JSON, "are missing", lambda made: (made.root / JSON).unlink()),
)  # fmt: skip
OTHERS = (
    Area("NIH ChestX-ray14", grey(test_nih.Tree), reader("nih"), NIH),
    Area("NIH-CXR-LT", grey(NihTree), reader("nih"), LONG_TAIL),
    Area("CheXpert", grey(lambda folder: test_chexpert.Tree(folder / NAME)), reader("chexpert"), CHEXPERT),
    Area("CheXpert Plus", grey(test_chexpert_plus.Tree), reader("chexpert-plus"), PLUS),
)
