"""Bad inputs of MIMIC-CXR-JPG: its tables, reports (a tree or a zip), boxes and long-tailed labels."""

import gzip
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from tests.bad_input.case import Area, Case, error, row, whole_way, with_grey
from tests.cohort.conftest import Tree
from tests.cohort.test_long_tail_labels import MIMIC_PARTS, mimic_labels

from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.long_tail import label_file

METADATA, SPLIT, LABELS = (f"mimic-cxr-2.0.0-{name}.csv.gz" for name in ("metadata", "split", "chexpert"))
REPORT = ("10000002", "50000002")
REPORTS_TEXT = b" FINDINGS: The lungs are clear, and the heart is of normal size.\n"


def tree(folder: Path) -> Tree:
    made = Tree(folder)
    with_grey(made.root)
    return made


def read(made: Tree) -> list[str]:
    boxes, long_tail, archive = made.root / "boxes.csv", made.root / "labels", made.root / "reports.zip"
    reports = archive if archive.exists() else made.reports
    source = Source(
        made.root,
        made.root,
        reports,
        boxes if boxes.exists() else None,
        long_tail if long_tail.exists() else None,
    )
    return whole_way("mimic-cxr-jpg", source, made.root.parent)


def cell(name: str, at: int, column: str, value: object) -> Callable[[Tree], None]:
    """Put a value into one cell of a table (split, metadata or labels)."""

    def damage(made: Tree) -> None:
        table = getattr(made, "labels" if name == "chexpert" else name)().astype(object)
        table.loc[at, column] = value
        made.write(name, table)

    return damage


def columns(name: str, **values: object) -> Callable[[Tree], None]:
    """Fill columns of a table."""
    return lambda made: made.write(name, getattr(made, name)().assign(**values))


def repeated(name: str) -> Callable[[Tree], None]:
    """Write the first row of a table twice."""

    def damage(made: Tree) -> None:
        table = getattr(made, "labels" if name == "chexpert" else name)()
        made.write(name, pd.concat([table, table.iloc[[0]]]))

    return damage


def text(name: str, edit: Callable[[str], str]) -> Callable[[Tree], None]:
    """Edit the text of a table."""

    def damage(made: Tree) -> None:
        path = made.root / name
        path.write_bytes(gzip.compress(edit(gzip.decompress(path.read_bytes()).decode()).encode()))

    return damage


def content(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Tree], int]:
    """Edit the bytes of a file."""
    return lambda made: (made.root / name).write_bytes(edit((made.root / name).read_bytes()))


def ragged(lines: str) -> str:
    """Give every row but the header one cell more."""
    header, *rows = lines.splitlines()
    return "\n".join([header, *(f"x,{line}" for line in rows)]) + "\n"


def report(written: bytes) -> Callable[[Tree], int]:
    return lambda made: made.report(*REPORT).write_bytes(written)


def no_report(made: Tree) -> None:
    made.report(*REPORT).unlink()


def folder_for_report(made: Tree) -> None:
    no_report(made)
    made.report(*REPORT).mkdir()


def packed(
    damage: Callable[[zipfile.ZipFile], object] | None = None, edit: Callable[[bytes], bytes] | None = None
) -> Callable[[Tree], None]:
    """Pack the reports, add to the archive, and edit its bytes."""

    def pack(made: Tree) -> None:
        archive = made.root / "reports.zip"
        with zipfile.ZipFile(archive, "w") as opened:
            for file in sorted(made.reports.rglob("*.txt")):
                opened.write(file, str(file.relative_to(made.reports)))
            if damage:
                damage(opened)
        if edit:
            archive.write_bytes(edit(archive.read_bytes()))

    return pack


MEMBER = "files/p10/p10000002/s50000002.txt"


def bit_turned(packed_bytes: bytes) -> bytes:
    return packed_bytes.replace(b"FINAL REPORT", b"FINAL RePORT", 1)


def flagged(packed_bytes: bytes) -> bytes:
    """Mark every member as encrypted, in its own header and in the directory."""
    changed = bytearray(packed_bytes)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.find(mark)
        while at >= 0:
            changed[at + offset] |= 1
            at = changed.find(mark, at + 4)
    return bytes(changed)


def unknown_method(packed_bytes: bytes) -> bytes:
    """Name a way of compression that nobody reads."""
    changed = bytearray(packed_bytes)
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = changed.find(mark)
        while at >= 0:
            struct.pack_into("<H", changed, at + offset, 99)
            at = changed.find(mark, at + 4)
    return bytes(changed)


def bomb(opened: zipfile.ZipFile) -> None:
    opened.writestr("files/p10/p10000009/s50000009.txt", bytes(2_000_000), zipfile.ZIP_DEFLATED)


def boxes(**changes: object) -> Callable[[Tree], None]:
    """Write boxes of which the second one is bad."""

    def damage(made: Tree) -> None:
        sound = {"dicom_id": "a-1", "category_name": "Cardiomegaly", "x": 1, "y": 2, "w": 3, "h": 4}
        pd.DataFrame([sound, {**sound, **changes}]).to_csv(made.root / "boxes.csv", index=False)

    return damage


def long_tail(part: str, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Tree], None]:
    """Write the long-tailed label files and edit one of them."""

    def damage(made: Tree) -> None:
        path = label_file(mimic_labels(made.root / "labels", MIMIC_PARTS), "mimic-cxr-lt", part)
        edit(pd.read_csv(path)).to_csv(path, index=False)

    return damage


def one_study_of_two_patients(made: Tree) -> None:
    """Give the study of patient 1 to patient 2 as well, with a file and a report in the place that this makes."""
    for name in ("metadata", "split"):
        table = getattr(made, name)()
        table.loc[table["dicom_id"] == "b-1", "study_id"] = "50000001"
        made.write(name, table)
    labels = made.labels()
    labels.loc[1, "study_id"] = "50000009"
    made.write("chexpert", labels)
    made.image("b-1", *REPORT).parent.rename(made.image("b-1", "10000002", "50000001").parent)


BAD_LABEL = "a label is not 1, 0, -1 or empty"
ID_MISSING = "the row lacks an id"
SIZE = "the size in pixels is no whole number from 1 to 1,000,000"
BOX = "a box has a side that is no number, or no area"
TABLES: tuple[Case, ...] = (
    row("a split that is none of the three", SPLIT, "no known split", cell("split", 0, "split", "holdout")),
    row("an image without a split", SPLIT, "no known split", cell("split", 0, "split", None)),
    row("an image in two splits", SPLIT, "the image's id is not unique",
        lambda made: made.write("split", pd.concat([made.split(), made.split().iloc[[0]].assign(split="test")]))),
    row("the label 7", LABELS, BAD_LABEL, cell("chexpert", 0, "Edema", 7)),
    row("the label 'maybe'", LABELS, BAD_LABEL, cell("chexpert", 0, "Edema", "maybe")),
    row("an infinite label", LABELS, BAD_LABEL, cell("chexpert", 0, "Edema", "inf")),
    row("two rows of labels for one study", LABELS, "the study has two rows", repeated("chexpert")),
    row("two images with one id", METADATA, "the image's id is not unique", repeated("metadata")),
    row("an image without an id", METADATA, ID_MISSING, cell("metadata", 0, "dicom_id", None)),
    row("an image without a patient", METADATA, ID_MISSING, cell("metadata", 0, "subject_id", None)),
    row("an image without a study", METADATA, ID_MISSING, cell("metadata", 0, "study_id", None)),
    row("a height in words", METADATA, SIZE, cell("metadata", 0, "Rows", "tall")),
    row("a height of 0", METADATA, SIZE, cell("metadata", 0, "Rows", 0)),
    row("a height beyond 32 bits", METADATA, SIZE, cell("metadata", 0, "Rows", 10**12)),
    row("a height of half a pixel", METADATA, SIZE, cell("metadata", 0, "Rows", 30.5)),
    error("one study of two patients", METADATA, "a study belongs to two patients", one_study_of_two_patients),
    error("a study that climbs out of the root", METADATA, "leads out of",
          columns("metadata", study_id="1/../../../../../outside")),
    row("an id with a NUL character", METADATA, "no known split", cell("metadata", 0, "dicom_id", "a\0b")),
    row("a patient of 1,000 digits", METADATA, "the image file is missing",
        cell("metadata", 0, "subject_id", "1" * 1000)),
    error("a missing column", METADATA, "lacks ['Rows']", text(METADATA, lambda old: old.replace("Rows", "Lines"))),
    error("a column that is there twice", METADATA, "names ['Rows'] twice",
          text(METADATA, lambda old: old.replace("Columns", "Rows,Columns").replace(",30,", ",30,30,"))),
    error("a row with more cells than the header", METADATA, "can't be read",
          text(METADATA, lambda old: old + "a,b,c,d,e,f,g,h\n")),
    error("one cell more in every row", METADATA, "more cells than the header", text(METADATA, ragged)),
    error("a quote that is never closed", METADATA, "can't be read", text(METADATA, lambda old: old + '"a-9,1')),
    error("no row at all", METADATA, "No image has one of the views",
          text(METADATA, lambda old: old.splitlines()[0] + "\n")),
    error("an empty file", METADATA, "can't be read", content(METADATA, lambda _: b"")),
    error("a file of NUL bytes", METADATA, "lacks", content(METADATA, lambda _: gzip.compress(bytes(5000)))),
    error("a text in place of a gzip", METADATA, "can't be read", content(METADATA, gzip.decompress)),
    error("a gzip that is cut off", LABELS, "can't be read", content(LABELS, lambda old: old[:40])),
    error("a gzip with a wrong checksum", LABELS, "can't be read",
          content(LABELS, lambda old: old[:-8] + bytes(8))),
    error("a gzip that inflates without end", METADATA, "inflates to more than",
          content(METADATA, lambda _: gzip.compress(bytes(120_000_000), 1))),
    error("letters in Latin-1", METADATA, "can't be read",
          content(METADATA, lambda old: gzip.compress(gzip.decompress(old) + b"caf\xe9,1,2,PA,3,4\n"))),
    error("UTF-16", METADATA, "can't be read",
          content(METADATA, lambda old: gzip.compress(gzip.decompress(old).decode().encode("utf-16")))),
    error("a missing table", LABELS, "is missing", lambda made: (made.root / LABELS).unlink()),
    error("a folder in place of a table", LABELS, "can't be read",
          lambda made: ((made.root / LABELS).unlink(), (made.root / LABELS).mkdir())),
)  # fmt: skip
REPORTS: tuple[Case, ...] = (
    row("a missing report", "reports/", "the report is missing", no_report),
    row("an empty report", "reports/", "the report has under 30 characters", report(b"")),
    row("a report of one word", "reports/", "the report has under 30 characters", report(b" IMPRESSION: Normal.\n")),
    row("a report in Latin-1", "reports/", "the report is not UTF-8", report(REPORTS_TEXT + b"caf\xe9\n")),
    row("a report in UTF-16 without its mark", "reports/", "the report holds NUL characters",
        report(REPORTS_TEXT.decode().encode("utf-16-le"))),
    row("a report of megabytes", "reports/", "the report has more than 1,000,000 bytes",
        report(REPORTS_TEXT * 20_000)),
    row("a folder in place of a report", "reports/", "the report is missing", folder_for_report),
    row("a member that the zip lacks", "reports.zip", "the report is missing",
        lambda made: (no_report(made), packed()(made))),
    row("a member with a wrong checksum", "reports.zip", "the report can't be read from its archive",
        packed(edit=bit_turned)),
    row("encrypted members", "reports.zip", "the report can't be read from its archive", packed(edit=flagged)),
    row("an unknown compression", "reports.zip", "the report can't be read from its archive",
        packed(edit=unknown_method)),
    error("a member that climbs out", "reports.zip", "leads out of",
          packed(lambda opened: opened.writestr("../../p10/p10000009/s50000009.txt", "text"))),
    error("a member with an absolute path", "reports.zip", "leads out of",
          packed(lambda opened: opened.writestr("/etc/p10/p10000009/s50000009.txt", "text"))),
    error("one member twice", "reports.zip", "is there twice",
          packed(lambda opened: opened.writestr("again/" + MEMBER, "text"))),
    error("a member that inflates to megabytes", "reports.zip", "more than 1,000,000 bytes", packed(bomb)),
    error("a zip that is cut off", "reports.zip", "can't be read", packed(edit=lambda old: old[:200])),
    error("a gzip in place of a zip", "reports.zip", "can't be read", packed(edit=zlib.compress)),
)  # fmt: skip
BOXES_AND_LONG_TAIL: tuple[Case, ...] = (
    row("a box without a width", "boxes.csv", BOX, boxes(w=None)),
    row("a box of no height", "boxes.csv", BOX, boxes(h=0)),
    row("a box at infinity", "boxes.csv", BOX, boxes(x="inf")),
    row("a box in words", "boxes.csv", BOX, boxes(y="top")),
    error("a table of boxes without sides", "boxes.csv", "lacks ['x'",
          lambda made: (made.root / "boxes.csv").write_text("dicom_id,category_name\na-1,Edema\n")),
    error("a class of value 2", "long-tailed labels", "values other than 0 and 1",
          long_tail("val", lambda table: table.assign(Fracture=2))),
    error("a class that is missing", "long-tailed labels", "lacks ['Fracture']",
          long_tail("val", lambda table: table.drop(columns="Fracture"))),
    error("an image named twice", "long-tailed labels", "named more than once",
          long_tail("val", lambda table: pd.concat([table, table]))),
    error("an image that the tables lack", "long-tailed labels", "does not have",
          long_tail("val", lambda table: table.assign(path="files/p10/p10000002/s50000002/z-9.jpg"))),
    error("a patient in two splits", "long-tailed labels", "more than one of",
          long_tail("val", lambda table: table.assign(path="files/p10/p10000001/s50000001/a-2.jpg"))),
    error("a part without rows", "long-tailed labels", "has no rows", long_tail("val", lambda table: table.iloc[:0])),
)  # fmt: skip
MIMIC = (
    Area("MIMIC-CXR-JPG: tables", tree, read, TABLES),
    Area("MIMIC-CXR: reports", tree, read, REPORTS),
    Area("MIMIC-CXR: boxes and long-tailed labels", tree, read, BOXES_AND_LONG_TAIL),
)
