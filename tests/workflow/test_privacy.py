"""A whole run on credentialed data, and then a search for its patients in everything that it wrote."""

import base64
import gzip
import re
import stat
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.workflow.conftest import copy_of
from tests.workflow.test_bad_input import STUDIES, image_path, report_path, study, tables, write_tree

from cxrflow.cohort.data_use import PATIENT_LEVEL

pytestmark = pytest.mark.workflow

TINY = yaml.safe_load((Path(__file__).parents[1] / "config/tiny.yaml").read_text())
SENTENCE = "Enlarged heart of a retired lighthouse keeper, and an effusion on the {side} as seen on day {number}."
CONFIG = {
    "run": {"cohorts": ["planted"], "systems": ["neural", "prunecxr", "patchib", "igcl"]},
    "acknowledge_dua": ["planted"],
    "neural": {
        "data": {"image_size": 96},
        "vlm": {
            "epochs": 1,
            "encoder": {"name": "resnet_small", "widths": [16, 16, 16], "weights": None},
            "decoder": {"width": 16, "layers": 1, "heads": 2, "vocabulary": 200, "max_text_length": 16},
        },
        "codecs": {"jpeg_qualities": [10], "sides": []},
        "texts": {"settings": ["reference", "generated"]},
        "gnn": {"hidden": 16, "epochs": 1, "seeds": [0]},
        "evaluation": {"resamples": 100},
        "forgetting": {"resamples": 100, "permutations": 100},
    },
    "prunecxr": {
        "data": {"image_size": 48},
        "network": {"widths": [16, 16]},
        "training": {"epochs": 1, "seeds": [0, 1]},
        "sweep": {"sparsities": [0, 0.9], "methods": ["l1"], "chunks": 1},
        "forgetting": {"resamples": 100, "permutations": 100},
    },
    "backbone": TINY["backbone"],
    "patchib": {**TINY["patchib"], "models": {"E": TINY["patchib"]["models"]["E"]}},
    "igcl": TINY["igcl"],
}


def text(number: int) -> str:
    sentence = SENTENCE.format(side="left" if number % 2 else "right", number=number)
    return f" FINDINGS:  {sentence}\n \n IMPRESSION:  Cardiomegaly, number {number}.\n"


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """Run all systems on made-up patients of a MIMIC-CXR-JPG tree, some damaged, and make the report."""
    fresh = copy_of(root, tmp_path_factory.mktemp("planted"))
    tree = fresh.root / "data/planted"
    named = tables()
    for label, value in {"Cardiomegaly": 1.0, "Pleural Effusion": 0.0}.items():
        named["chexpert"][label] = [value, 1 - value] * (STUDIES // 2)
    named["split"].loc[7, "split"] = "holdout"
    write_tree(tree, named)
    for number in range(STUDIES):
        report_path(tree, number).write_text(text(number))
    image_path(tree, 4).write_bytes(b"no image")
    report_path(tree, 10).unlink()
    cohort = {"root": "data/planted", "reports": "data/planted/reports", "reading": {"maximum_quarantined": 0.5}}
    (fresh.root / "planted.yaml").write_text(yaml.safe_dump({**CONFIG, "cohorts": {"planted": cohort}}))
    ended = fresh.warm("--configfile", "planted.yaml")
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-6000:]
    _, printed = fresh.report("--configfile", "planted.yaml")
    (fresh.root / "results/logs/console.txt").write_text(ended.stdout + ended.stderr + printed)
    return fresh.root / "results"


# What names a patient or is written of one: ids, and words that only the planted reports hold.
SECRET = re.compile(r"image-[0-3]\d(?!\d)|(?<!\d)(?:100000|500000)[0-3]\d(?!\d)|lighthouse keeper|as seen on day")


def legible(path: Path) -> str:
    """Return what a file says, whatever it is packed in: tables, arrays, archives, data inside pages."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path).to_csv()
    if path.suffix in (".npz", ".npy"):
        arrays = np.load(path)
        return " ".join(str(value) for array in (arrays.values() if path.suffix == ".npz" else [arrays])
                        for value in array.ravel()[:100_000])  # fmt: skip
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if (
        path.name == "report.html"
    ):  # the libraries of the page, which stand in scripts without a name, hold round numbers
        content = re.sub(rb"(?s)<script>.*?</script>", b"", content)
    streams = [
        zlib.decompressobj().decompress(found)
        for found in re.findall(rb"(?s)stream\r?\n(x\x9c.*?)\r?\nendstream", content)
    ]
    inside = [base64.b64decode(found) for found in re.findall(rb"base64,([A-Za-z0-9+/=]{16,})", content)]
    inside += [gzip.decompress(found) for found in inside if found.startswith(b"\x1f\x8b")]
    return b"\n".join([content, *streams, *inside]).decode("utf-8", "ignore")


def told(path: Path, secret: re.Pattern[str] = SECRET) -> set[str]:
    return set(secret.findall(legible(path)))


def shared(results: Path, cohort: str) -> list[Path]:
    """Return what is not patient-level."""
    private = {file for pattern in PATIENT_LEVEL for file in (results / cohort).glob(pattern)}
    private |= {inner for folder in private if folder.is_dir() for inner in folder.rglob("*")}
    return [file for file in sorted(results.rglob("*")) if file.is_file() and file not in private]


def test_no_patient_is_named_outside_the_patient_level_files(done):
    searched = shared(done, "planted")
    assert {"report.html", "planted.csv", "console.txt", "metrics.csv"} <= {file.name for file in searched}
    assert len([file for file in searched if file.suffix == ".log"]) > 30
    assert {str(file.relative_to(done)): told(file) for file in searched if told(file)} == {}


def test_no_patient_with_ct_slices_is_named_outside_the_patient_level_files(finished):
    results = finished.root / "results"
    patients = pd.read_parquet(results / "tiny-slices/cohort/split.parquet")["patient_id"].unique()
    secret = re.compile(rf"(?<![\d.])(?:{'|'.join(patients)})(?:_\d\d|\.h5|,)")
    searched = [
        file for file in shared(results, "tiny-slices") if "tiny-slices" in file.parts and "raw" not in file.parts
    ]
    assert {"metrics.csv", "lesion_rows.csv", "compute.csv"} <= {file.name for file in searched}
    assert {str(file.relative_to(results)): told(file, secret) for file in searched if told(file, secret)} == {}
    for private in ("manifest.parquet", "presence.csv", "0.csv", "0.sha256", "0.npz"):
        assert all(told(file, secret) for file in (results / "tiny-slices").rglob(private)), private


def test_the_search_finds_what_is_there(done):
    assert told(done / "planted/cohort/manifest.parquet") > {study(0), "10000000", "image-00"}
    assert "lighthouse keeper" in told(done / "planted/cohort/reports.parquet")
    assert told(done / "planted/cohort/quarantine_manifest.csv") >= {"image-07", study(10)}
    assert told(done / "planted/prunecxr/pie.csv")


def test_what_was_refused_is_told_without_names(done):
    table = pd.read_csv(done / "quarantine/planted.csv")
    assert set(table["reason"]) >= {"no known split", "the report is missing"}
    assert set(table["file"]) >= {"cohort/quarantine_manifest.csv", "cohort/quarantine_images_48.csv"}
    assert table["row"].str.fullmatch(r"line \d+").all()


def test_snakemakes_own_records_name_no_patient(done):
    own = [file for file in (done.parent / ".snakemake").rglob("*") if file.is_file() and "planted" in legible(file)]
    assert own
    assert [file for file in own if told(file)] == []


def test_only_their_maker_can_read_the_results(done):
    made = [done / "planted", done / "logs/planted", done / "benchmarks/planted"]
    files = [file for folder in made for file in [folder, *folder.rglob("*")]] + [done / "report.html"]
    assert {str(file) for file in files if stat.S_IMODE(file.stat().st_mode) & 0o077} == set()
