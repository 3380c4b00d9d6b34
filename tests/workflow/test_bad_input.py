"""A MIMIC-CXR-JPG tree with one of every damage we know, run as a user would: each ends in a row with its reason."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from cxrflow.cohort.labels import CHEXPERT_LABELS

pytestmark = pytest.mark.workflow

STUDIES = 40
REPORT = " FINDINGS:  The lungs are clear and the heart is of normal size.\n \n IMPRESSION:  No disease.\n"
SIDE = 48


def study(number: int) -> str:
    return f"{50000000 + number}"


def image_path(root: Path, number: int) -> Path:
    return root / f"files/p10/p{10000000 + number}/s{study(number)}/image-{number:02d}.jpg"


def report_path(root: Path, number: int) -> Path:
    return root / f"reports/files/p10/p{10000000 + number}/s{study(number)}.txt"


def tables() -> dict[str, pd.DataFrame]:
    """Return split, metadata and label table of one image a patient."""
    numbers = range(STUDIES)
    ids = pd.DataFrame(
        {
            "dicom_id": [f"image-{number:02d}" for number in numbers],
            "subject_id": [10000000 + number for number in numbers],
            "study_id": [study(number) for number in numbers],
        }
    )
    split = ids.assign(split=["train", "train", "validate", "test"] * (STUDIES // 4))
    metadata = ids.assign(ViewPosition="PA", Rows=SIDE, Columns=SIDE)
    labels = ids[["subject_id", "study_id"]].assign(**dict.fromkeys(CHEXPERT_LABELS))
    labels["Edema"] = [1.0, -1.0] * (STUDIES // 2)
    return {"split": split, "metadata": metadata, "chexpert": labels}


def write_tree(root: Path, named: dict[str, pd.DataFrame]) -> None:
    random = np.random.default_rng(0)
    for number in range(STUDIES):
        for path in (image_path(root, number), report_path(root, number)):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (SIDE, SIDE), dtype=np.uint8)).save(image_path(root, number))
        report_path(root, number).write_text(REPORT)
    for name, table in named.items():
        table.to_csv(root / f"mimic-cxr-2.0.0-{name}.csv.gz", index=False)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def pixel_bomb() -> bytes:
    """Return a small PNG that claims 30,000 x 30,000 pixels."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(30_001))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


def configure(fresh, name: str, **cohort) -> str:
    """Write a configuration that reads data/`name` and makes its tables, images and graphs alone."""
    place = f"data/{name}"
    described = {"root": place, "reports": f"{place}/reports", "image_sizes": [32], **cohort}
    run = {"cohorts": [name], "systems": []}
    config = {"run": run, "cohorts": {name: described}, "acknowledge_dua": [name]}
    (fresh.root / f"{name}.yaml").write_text(yaml.safe_dump(config))
    return f"{name}.yaml"


def row_of(folder: Path, shown) -> pd.Series:
    """Return the row of a rule's own quarantine at which the shown one, which names no patient, points."""
    own = pd.read_csv(folder / shown.file, dtype=str)
    found = own.iloc[int(shown.row.removeprefix("line ")) - 2]
    assert (found["rule"], found["reason"]) == (shown.rule, shown.reason)
    return found


def run(fresh, config: str, *targets: str):
    return fresh.snakemake(*targets, "--quiet", "rules", "--configfile", config)


def test_every_damaged_input_is_a_row_of_the_quarantine_table(fresh):
    root = fresh.root / "data/damaged"
    named = tables()
    named["split"].loc[7, "split"] = "holdout"
    named["chexpert"]["Edema"] = named["chexpert"]["Edema"].astype(object)
    named["chexpert"].loc[8, "Edema"] = "maybe"
    named["metadata"] = pd.concat([named["metadata"], named["metadata"].iloc[[9]]])
    write_tree(root, named)
    whole = image_path(root, 0).read_bytes()
    image_path(root, 0).write_bytes(whole[: len(whole) // 2])
    image_path(root, 1).write_bytes(b"")
    image_path(root, 2).unlink()
    Image.fromarray(np.full((SIDE, SIDE), 7, np.uint8)).save(image_path(root, 3))
    image_path(root, 4).write_bytes(pixel_bomb())
    image_path(root, 5).write_bytes(b"not an image")
    sixteen_bits = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)
    Image.fromarray(sixteen_bits).save(image_path(root, 6), format="PNG")
    report_path(root, 10).unlink()
    report_path(root, 11).write_text("")
    report_path(root, 12).write_bytes(b" FINDINGS: caf\xe9 au lait, and nothing else that could be seen.\n")

    done = run(fresh, configure(fresh, "damaged", reading={"maximum_quarantined": 0.5}))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    shown = pd.read_csv(fresh.root / "results/quarantine/damaged.csv", dtype=str)
    refused = pd.DataFrame([row_of(fresh.root / "results/damaged", place) for place in shown.itertuples()])
    reasons = {row.row: row.reason for row in refused.itertuples()}
    expected = {
        "image-00": "cut off",
        "image-01": "the image file is empty",
        "image-02": "the image file is missing",
        "image-03": "flat",
        "image-04": "pixels",
        "image-05": "not a JPEG, PNG or DICOM image",
        "image-07": "no known split",
        study(8): "a label is not 1, 0, -1 or empty",
        "image-09": "the image's id is not unique",
        study(10): "the report is missing",
        study(11): "under 30 characters",
        study(12): "not UTF-8",
    }
    assert set(reasons) == set(expected)
    assert {row: reason for row, reason in expected.items() if reason not in reasons[row]} == {}

    index = pd.read_parquet(fresh.root / "results/damaged/cohort/images_32.parquet").set_index("image_id")
    images = np.load(fresh.root / "results/damaged/cohort/images_32.npy", mmap_mode="r")
    deep = images[index.loc["image-06", "row"]]
    assert deep.min() < 10 < 245 < deep.max()
    assert len(np.unique(deep)) > 100, "16 bits were cut off, not scaled down"


def test_too_many_refused_rows_end_the_run_and_stay_to_be_read(fresh):
    named = tables()
    named["split"].loc[:3, "split"] = "holdout"
    write_tree(fresh.root / "data/spoilt", named)
    done = run(fresh, configure(fresh, "spoilt"), "results/spoilt/cohort/manifest.parquet")
    assert done.returncode != 0
    log = (fresh.root / "results/logs/spoilt/cohort_manifest.log").read_text()
    assert "4 of 76 input rows were refused" in log
    assert "Hint: mend the input, or raise `maximum_quarantined`" in log
    assert not (fresh.root / "results/spoilt/cohort/manifest.parquet").exists()
    listed = pd.read_csv(fresh.root / "results/spoilt/cohort/failed_quarantine_manifest.csv")
    assert listed["reason"].tolist() == ["no known split"] * 4


def test_a_patient_in_two_splits_stops_the_run_with_a_hint(fresh):
    named = tables()
    named["metadata"].loc[1, "subject_id"] = named["split"].loc[1, "subject_id"] = 10000002
    named["chexpert"].loc[1, "subject_id"] = 10000002
    root = fresh.root / "data/shared"
    write_tree(root, named)
    moved = root / "files/p10/p10000002" / f"s{study(1)}"
    image_path(root, 1).parent.rename(moved)
    report_path(root, 1).rename(root / f"reports/files/p10/p10000002/s{study(1)}.txt")
    done = run(fresh, configure(fresh, "shared"), "results/shared/cohort/disjoint.json")
    assert done.returncode != 0
    log = (fresh.root / "results/logs/shared/cohort_assert_disjoint.log").read_text()
    assert "1 values of patient_id are in more than one split" in log
    assert "Hint:" in log
    assert not (fresh.root / "results/shared/cohort/disjoint.json").exists()


def test_credentialed_data_wait_for_the_acknowledgement_of_their_agreement(fresh):
    write_tree(fresh.root / "data/unsigned", tables())
    config = configure(fresh, "unsigned")
    done = run(fresh, config, "results/unsigned/cohort/manifest.parquet", "--config", "acknowledge_dua=[]")
    assert done.returncode != 0
    log = (fresh.root / "results/logs/unsigned/cohort_acknowledge.log").read_text()
    assert "unsigned (mimic-cxr-jpg) is credentialed data" in log
    assert "Hint: if you have signed it and keep to it, say so: `acknowledge_dua: [unsigned]`" in log
    assert "Traceback" not in log
    assert not (fresh.root / "results/logs/unsigned/cohort_manifest.log").exists()


def test_a_folder_without_the_tables_is_told_before_anything_runs(fresh):
    (fresh.root / "data/empty").mkdir(parents=True)
    done = run(fresh, configure(fresh, "empty"), "--dry-run")
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert "The cohort empty lacks data/empty/mimic-cxr-2.0.0-split.csv.gz" in told
    assert "Hint:" in told
    assert "Traceback" not in told
