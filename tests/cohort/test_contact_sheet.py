import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.cohort.contact_sheet import example_rows, write_contact_sheet
from cxrflow.cohort.tables import write_manifest

COUNT = 8


@pytest.fixture
def manifest(tmp_path):
    """Return the manifest of eight images, two of which are broken and not in the store."""
    random = np.random.default_rng(0)
    for number in range(COUNT):
        Image.fromarray(random.integers(0, 255, (60, 40), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "0.png").write_bytes(b"broken")
    (tmp_path / "5.png").unlink()
    ids = [str(number) for number in range(COUNT)]
    pd.DataFrame({"image_id": [one for one in ids if one not in "05"]}).to_parquet(tmp_path / "index.parquet")
    box = [{"label": "Edema", "x": 5.0, "y": 5.0, "w": 10.0, "h": 20.0}]
    table = pd.DataFrame({"image_id": ids, "patient_id": ids, "study_id": ids, "path": [f"{one}.png" for one in ids]})
    return table.assign(
        view="PA", height=60, width=40, sex=None, age=np.nan, official_split=None, boxes=[box, None] * (COUNT // 2)
    )


@pytest.mark.parametrize("labelled", [True, False])
def test_the_sheet_needs_neither_labels_nor_whole_images(manifest, tmp_path, labelled):
    if labelled:
        manifest["Edema"] = [1.0, 0.0] * (COUNT // 2)
    write_manifest(tmp_path / "manifest.parquet", manifest, ["Edema"] if labelled else [])
    sheet = tmp_path / "sheet.png"
    write_contact_sheet(tmp_path / "manifest.parquet", tmp_path / "index.parquet", tmp_path, sheet, simulated=True)
    with Image.open(sheet) as drawn:
        assert min(drawn.size) > 200


def test_each_row_shows_its_label_and_no_patient_twice(manifest):
    manifest["Edema"] = [1.0, 0.0] * (COUNT // 2)
    manifest["No Finding"] = 1 - manifest["Edema"]
    manifest["Mass"] = np.nan
    manifest["patient_id"] = ["a", "b"] * 2 + list("cdef")
    rows = example_rows(manifest, ["Edema", "No Finding", "Mass"])
    assert list(rows) == ["No Finding", "Edema"]
    assert all((examples[label] == 1).all() for label, examples in rows.items())
    assert all(examples["patient_id"].is_unique for examples in rows.values())
