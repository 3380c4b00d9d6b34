"""Every data set's layout, run as a user would: raw tree in, canonical tables and image store out."""

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from tests.cohort import conftest, test_chexpert, test_chexpert_plus, test_nih, test_openi_adapter

pytestmark = pytest.mark.workflow

LAYOUTS = {
    "mimic-cxr-jpg": (conftest.Tree, {"root": "data/mimic-cxr-jpg/jpg"}),  # radiographs alone
    "nih": (test_nih.Tree, {}),
    "chexpert": (test_chexpert.Tree, {}),
    "chexpert-plus": (test_chexpert_plus.Tree, {}),
    "openi-csv": (test_openi_adapter.CsvTree, {}),
    "openi-xml": (test_openi_adapter.unpack, {"reading": {"views": ["UNKNOWN"], "maximum_quarantined": 0.5}}),
}
WITH_REPORTS = {"chexpert-plus", "openi-csv", "openi-xml"}


@pytest.fixture(scope="module")
def done(fresh):
    """Run all layouts at once, with noise in place of radiographs (an image of one grey value is refused)."""
    random = np.random.default_rng(0)
    cohorts = {}
    for layout, (tree, settings) in LAYOUTS.items():
        root = fresh.root / "data" / layout
        root.mkdir(parents=True)
        tree(root)
        for image in [path for path in root.rglob("*") if path.suffix in (".png", ".jpg")]:
            Image.fromarray(random.integers(0, 255, (40, 40), dtype=np.uint8)).save(image)
        cohorts[layout] = {"format": layout, "root": f"data/{layout}", "image_sizes": [24], **settings}
    run = {"cohorts": list(cohorts), "systems": []}
    config = {"run": run, "cohorts": cohorts, "acknowledge_dua": ["chexpert", "chexpert-plus", "mimic-cxr-jpg"]}
    (fresh.root / "formats.yaml").write_text(yaml.safe_dump(config))
    ended = fresh.warm("--quiet", "rules", "--configfile", "formats.yaml")
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-6000:]
    return fresh.root / "results"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_image_of_the_manifest_is_split_decoded_and_counted(done, layout):
    room = done / layout / "cohort"
    manifest, split = pd.read_parquet(room / "manifest.parquet"), pd.read_parquet(room / "split.parquet")
    index, images = pd.read_parquet(room / "images_24.parquet"), np.load(room / "images_24.npy", mmap_mode="r")
    assert len(manifest) >= 2
    assert set(manifest["image_id"]) == set(split["image_id"]) == set(index["image_id"])
    assert images.shape == (len(manifest), 24, 24)
    table = pd.read_csv(room / "table1.csv")
    counted = table[(table["attribute"] == "images") & (table["split"] == "all")]["count"]
    assert counted.tolist() == [len(manifest)]
    assert (room / "cooccurrence.png").stat().st_size > 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reports_are_read_where_a_data_set_has_them(done, layout):
    reports = pd.read_parquet(done / layout / "cohort/reports.parquet")
    assert bool(len(reports)) == (layout in WITH_REPORTS)
    assert (done / layout / "reports/graphs.jsonl").exists() == (layout in WITH_REPORTS)
