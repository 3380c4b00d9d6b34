import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.cohort import test_nih
from tests.cohort.conftest import ROWS as MIMIC_ROWS
from tests.cohort.conftest import Tree as MimicTree

from cxrflow.cohort.adapters.long_tail_labels import read_label_files
from cxrflow.cohort.adapters.nih import NIH_LABELS
from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.adapters.reading import Cohort, read_cohort
from cxrflow.cohort.layouts import LAYOUTS, raw_files, require_raw_files
from cxrflow.cohort.long_tail import CLASSES, MIMIC_CLASSES, NIH_CLASSES, LongTail, label_file
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import CohortSettings, ReadingSettings
from cxrflow.cohort.splits import split_images
from cxrflow.cohort.tables import read_labels, write_manifest
from cxrflow.errors import UserError

# part -> image -> its positive classes; patient 1 has two images.
NIH_PARTS = {
    "train": {"00000001_000.png": {"Cardiomegaly", "Pneumoperitoneum"}, "00000001_001.png": {"No Finding"}},
    "val": {"00000002_000.png": {"Pleural Thickening"}},
    "test": {"00000003_000.png": {"Infiltration", "Tortuous Aorta"}},
}
MIMIC_PATHS = {row[0]: f"files/p{row[1][:2]}/p{row[1]}/s{row[2]}/{row[0]}.jpg" for row in MIMIC_ROWS}
MIMIC_PARTS = {
    "train": {"a-1": {"Support Devices", "No Finding"}},
    "val": {"b-1": {"Pleural Other", "Pneumomediastinum"}},
    "test": {"c-1": {"Fracture"}},
}


class NihTree(test_nih.Tree):
    """A copy of ChestX-ray14 with the label files of NIH-CXR-LT, and ways to damage these."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.labels = root / "labels"
        self.labels.mkdir()
        for part, images in NIH_PARTS.items():
            self.write(part, self.part(images))

    def part(self, images: dict[str, set[str]]) -> pd.DataFrame:
        values = {name: [int(name in positive) for positive in images.values()] for name in NIH_CLASSES}
        return pd.DataFrame({"id": list(images), **values, "subj_id": [int(image[:8]) for image in images]})

    def file(self, part: str) -> Path:
        return label_file(self.labels, "nih-cxr-lt", part)

    def write(self, part: str, table: pd.DataFrame) -> None:
        table.to_csv(self.file(part), index=False)

    def change(self, part: str, **columns: object) -> None:
        self.write(part, pd.read_csv(self.file(part)).assign(**columns))  # type: ignore[arg-type]

    def complaint(self) -> str:
        with pytest.raises(UserError) as caught:
            self.read(self.labels)
        return str(caught.value)


@pytest.fixture
def nih(tmp_path: Path) -> NihTree:
    return NihTree(tmp_path)


def mimic_labels(folder: Path, parts: dict[str, dict[str, set[str]]] = MIMIC_PARTS) -> Path:
    folder.mkdir(exist_ok=True)
    for part, images in parts.items():
        values = {name: [int(name in positive) for positive in images.values()] for name in MIMIC_CLASSES}
        table = pd.DataFrame({"path": [MIMIC_PATHS[image] for image in images], **values})
        table.to_csv(label_file(folder, "mimic-cxr-lt", part), index=False)
    return folder


def read_mimic(tree: MimicTree, layout: str = "mimic-cxr-jpg", labels: Path | None = None) -> tuple[Cohort, Quarantine]:
    refused = Quarantine("test")
    root = tree.dicom if layout == "mimic-cxr-dicom" else tree.root
    source = Source(root, tree.root, tree.reports, long_tail=labels or mimic_labels(tree.root / "labels"))
    return read_cohort(layout, source, ReadingSettings(), refused), refused


def positives(cohort: Cohort) -> list[set[str]]:
    return [{label for label in cohort.labels if row[label] == 1.0} for row in cohort.manifest.to_dict("records")]


def test_nih_takes_classes_and_split_from_the_label_files(nih: NihTree) -> None:
    cohort, refused = nih.read(nih.labels)
    assert cohort.labels == list(NIH_CLASSES)
    assert positives(cohort) == [positive for images in NIH_PARTS.values() for positive in images.values()]
    assert cohort.manifest["official_split"].tolist() == ["train", "train", "validate", "test"]
    assert set(np.unique(cohort.manifest[cohort.labels])) == {0.0, 1.0}
    assert (cohort.input_rows, refused) == (4, [])


@pytest.mark.parametrize("layout", ["mimic-cxr-jpg", "mimic-cxr-dicom"])
def test_mimic_takes_classes_and_split_from_the_label_files(tree: MimicTree, layout: str) -> None:
    cohort, refused = read_mimic(tree, layout)
    assert cohort.labels == list(MIMIC_CLASSES)
    assert cohort.manifest["image_id"].tolist() == ["a-1", "b-1", "c-1"]
    assert positives(cohort) == [positive for images in MIMIC_PARTS.values() for positive in images.values()]
    assert cohort.manifest["official_split"].tolist() == ["train", "validate", "test"]
    assert cohort.reports["study_id"].tolist() == ["50000001", "50000002", "50000003"]
    assert refused.rows == []


def test_the_split_of_the_label_files_is_the_split_that_is_used(nih: NihTree) -> None:
    cohort, _ = nih.read(nih.labels)
    split = split_images(cohort.manifest, cohort.labels, (0.7, 0.1, 0.2), seed=0)
    assert split["split"].tolist() == ["train", "train", "validate", "test"]


def test_the_manifest_with_long_tailed_labels_is_canonical(nih: NihTree, tmp_path: Path) -> None:
    cohort, _ = nih.read(nih.labels)
    write_manifest(tmp_path / "manifest.parquet", cohort.manifest, cohort.labels)
    assert read_labels(tmp_path / "manifest.parquet") == list(NIH_CLASSES)


def test_without_label_files_the_cohorts_keep_their_own_labels(nih: NihTree) -> None:
    cohort, _ = nih.read()
    assert cohort.labels == list(NIH_LABELS)
    assert cohort.manifest["official_split"].tolist() == ["train", "train", "test", "test"]


def test_own_labels_lists_and_split_tables_are_not_needed_then(nih: NihTree, tree: MimicTree) -> None:
    for name in ("train_val_list.txt", "test_list.txt"):
        (nih.root / name).unlink()
    for name in ("split", "chexpert"):
        (tree.root / f"mimic-cxr-2.0.0-{name}.csv.gz").unlink()
    assert len(nih.read(nih.labels)[0].manifest) == 4
    assert len(read_mimic(tree)[0].manifest) == 3


def test_own_findings_are_not_judged_then(nih: NihTree) -> None:
    nih.table([row.replace("Infiltration,0,3", "Granuloma,0,3") for row in test_nih.ROWS])
    cohort, refused = nih.read(nih.labels)
    assert (len(cohort.manifest), refused) == (4, [])


def test_images_in_no_label_file_are_left_out_and_counted_in_the_log(
    nih: NihTree, caplog: pytest.LogCaptureFixture
) -> None:
    nih.write("train", nih.part({"00000001_001.png": {"No Finding"}}))
    with caplog.at_level("INFO"):
        cohort, refused = nih.read(nih.labels)
    assert cohort.manifest["image_id"].tolist() == ["00000001_001.png", "00000002_000.png", "00000003_000.png"]
    assert "1 of 4 images are in no label file" in caplog.text
    assert (cohort.input_rows, refused) == (4, [])


def test_a_labelled_image_without_a_file_is_a_matter_of_quarantine(nih: NihTree) -> None:
    (nih.root / "images_012/images/00000003_000.png").unlink()
    cohort, refused = nih.read(nih.labels)
    assert [(row, reason) for _, row, reason in refused] == [("00000003_000.png", "the image file is missing")]
    assert len(cohort.manifest) == 3


def test_a_labelled_image_whose_row_is_refused_or_repeated_is_a_matter_of_quarantine(nih: NihTree) -> None:
    rows = [*test_nih.ROWS[:2], test_nih.ROWS[2].replace(",0,2,", ",first,2,"), test_nih.ROWS[3], test_nih.ROWS[3]]
    nih.table(rows)
    cohort, refused = nih.read(nih.labels)
    assert {row for _, row, _ in refused} == {"00000002_000.png", "00000003_000.png"}
    assert cohort.manifest["image_id"].tolist() == ["00000001_000.png", "00000001_001.png"]


def test_a_view_that_is_not_told_is_frontal_for_the_sets_hold_no_others(tree: MimicTree) -> None:
    metadata = tree.metadata()
    metadata["ViewPosition"] = [None, "LATERAL", "AP", "PA"]
    tree.write("metadata", metadata)
    assert read_mimic(tree)[0].manifest["view"].tolist() == ["FRONTAL", "AP", "PA"]


@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize("arranged", [sorted, reversed])
def test_columns_are_found_by_name_and_come_in_the_published_order(nih: NihTree, arranged, kind: type) -> None:
    expected = read_label_files(nih.labels, "nih-cxr-lt")
    for part in NIH_PARTS:
        table = pd.read_csv(nih.file(part)).assign(note="seen")
        nih.write(part, table.astype(dict.fromkeys(NIH_CLASSES, kind))[list(arranged(table.columns))])
    pd.testing.assert_frame_equal(read_label_files(nih.labels, "nih-cxr-lt"), expected)
    assert list(expected)[-20:] == list(NIH_CLASSES)


@pytest.mark.parametrize("labels", CLASSES)
def test_a_missing_class_is_named_with_the_header_that_was_found(nih: NihTree, labels: LongTail) -> None:
    mimic_labels(nih.labels)
    file = label_file(nih.labels, labels, "val")
    pd.read_csv(file).rename(columns={"Pneumothorax": "pneumothorax"}).to_csv(file, index=False)
    with pytest.raises(UserError, match=rf"{file.name} lacks \['Pneumothorax'\]; its header is .*'pneumothorax'"):
        read_label_files(nih.labels, labels)


@pytest.mark.parametrize("value", ["2", "-1", "0.5", "yes", None, "inf"])
def test_a_value_other_than_0_or_1_is_an_error_with_its_column_and_count(nih: NihTree, value: str | None) -> None:
    nih.change("train", Hernia=[value, "1.0"], Edema=[value, value])
    message = nih.complaint()
    assert "miccai2023_nih-cxr-lt_labels_train.csv has values other than 0 and 1" in message
    assert "{'Edema': 2, 'Hernia': 1}" in message
    assert "\nHint: " in message


def test_an_image_named_twice_in_one_file_or_in_two_is_an_error(nih: NihTree) -> None:
    train = pd.read_csv(nih.file("train"))
    nih.write("train", pd.concat([train, train]))
    train_file, val_file = nih.file("train").name, nih.file("val").name
    assert f"Images in {train_file} that are named more than once: 2." in nih.complaint()
    nih.write("train", train)
    nih.write("val", pd.concat([pd.read_csv(nih.file("val")), train.iloc[[0]]]))
    assert f"Images in {train_file} and {val_file} that are named more than once: 1." in nih.complaint()


def test_an_image_that_the_raw_table_lacks_is_an_error(nih: NihTree) -> None:
    nih.table(test_nih.ROWS[:3])
    file, table = nih.file("test").name, "Data_Entry_2017_v2020.csv"
    assert f"Images in {file} that the raw table {table} does not have: 1." in nih.complaint()


def test_a_patient_in_two_splits_is_an_error_by_the_files_own_column(nih: NihTree) -> None:
    nih.change("val", subj_id=3)
    files = f"{nih.file('val').name} and {nih.file('test').name}"
    assert f"Patients in more than one of {files}, by the files' own column of patients: 1." in nih.complaint()


def test_a_patient_in_two_splits_is_an_error_by_the_raw_table_where_the_files_have_no_such_column(nih: NihTree) -> None:
    train, val = NIH_PARTS["train"], NIH_PARTS["val"]
    last = train.keys() - {"00000001_000.png"}
    nih.write("train", nih.part({"00000001_000.png": {"Mass"}}).drop(columns="subj_id"))
    nih.write("val", nih.part(val | {image: train[image] for image in last}).drop(columns="subj_id"))
    assert "by the raw table Data_Entry_2017_v2020.csv: 1." in nih.complaint()


@pytest.mark.parametrize("column", ["subj_id", "subject_id"])
def test_a_patient_other_than_in_the_raw_table_is_an_error(nih: NihTree, column: str) -> None:
    table = pd.read_csv(nih.file("val")).assign(subj_id=7).rename(columns={"subj_id": column})
    nih.write("val", table)
    assert "Images in miccai2023_nih-cxr-lt_labels_val.csv whose patient" in nih.complaint()


@pytest.mark.parametrize("written", ["00000002", "2", "2.0"])
def test_a_patients_number_may_have_leading_zeros_or_be_a_float(nih: NihTree, written: str) -> None:
    nih.change("val", subj_id=written)
    assert nih.read(nih.labels)[0].manifest["patient_id"].iloc[2] == "00000002"


def test_no_error_tells_the_id_of_a_patient_or_an_image(tree: MimicTree) -> None:
    labels = tree.root / "labels"
    twice = MIMIC_PARTS | {"val": MIMIC_PARTS["train"]}
    shared = MIMIC_PARTS | {"val": {"a-2": set()}}
    for parts in (twice, shared):
        with pytest.raises(UserError) as caught:
            read_mimic(tree, labels=mimic_labels(labels, parts))
        assert not re.search(r"1000000\d|5000000\d|[abc]-\d", str(caught.value).replace(str(tree.root), ""))


def test_a_path_without_a_file_name_and_a_file_without_rows_are_errors(tree: MimicTree) -> None:
    labels = mimic_labels(tree.root / "labels")
    file = label_file(labels, "mimic-cxr-lt", "val")
    table = pd.read_csv(file)
    table.assign(path="files/p10").to_csv(file, index=False)
    with pytest.raises(UserError, match=r"1 of 1 rows of .*labels_val\.csv name no image file in the column `path`"):
        read_label_files(labels, "mimic-cxr-lt")
    table.iloc[:0].to_csv(file, index=False)
    with pytest.raises(UserError, match=r"labels_val\.csv has no rows"):
        read_label_files(labels, "mimic-cxr-lt")


def test_no_finding_with_a_disease_is_counted_and_devices_are_no_disease(
    nih: NihTree, tree: MimicTree, caplog: pytest.LogCaptureFixture
) -> None:
    nih.change("train", **{"No Finding": 1})
    with caplog.at_level("WARNING"):
        nih.read(nih.labels)
    assert "1 of 4 images have No Finding and a disease" in caplog.text
    caplog.clear()
    with caplog.at_level("WARNING"):
        read_mimic(tree)
    assert caplog.text == ""


def test_boxes_take_the_class_names_of_the_long_tailed_labels(nih: NihTree) -> None:
    for name in ("00000001_000", "00000002_000", "00000003_000"):
        nih.image(f"images_{'001' if name == '00000001_000' else '012'}/images/{name}.png", 512, 512)
    nih.boxes(
        "00000001_000.png,Subcutaneous Emphysema,2,4,6,8",
        "00000002_000.png,Pleural_Thickening,2,4,6,8",
        "00000003_000.png,Infiltrate,2,4,6,8",
        "00000003_000.png,Granuloma,2,4,6,8",
    )
    cohort, refused = nih.read(nih.labels)
    boxes = [box for boxes in cohort.manifest["boxes"].dropna() for box in boxes]
    assert boxes == [
        {"label": label, "x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0}
        for label in ("Subcutaneous Emphysema", "Pleural Thickening", "Infiltration")
    ]
    assert [(file, row) for file, row, _ in refused] == [("BBox_List_2017.csv", "00000003_000.png")]


def plain_cohort(tree_format: str, root: Path, **changes: object) -> dict[str, object]:
    reports = {"reports": str(root)} if LAYOUTS[tree_format].reports == "apart" else {}
    about = {"format": tree_format, "root": str(root), **reports, **changes}
    return CohortSettings.model_validate(about).model_dump(mode="json")


def test_a_missing_label_file_is_told_before_anything_runs(nih: NihTree) -> None:
    cohort = plain_cohort("nih", nih.root, long_tail=str(nih.labels))
    require_raw_files("nih", cohort)
    nih.file("test").unlink()
    with pytest.raises(UserError, match=r"lacks .*labels/miccai2023_nih-cxr-lt_labels_test\.csv"):
        require_raw_files("nih", cohort)


def test_own_lists_and_label_tables_are_required_where_no_label_files_are_given(tmp_path: Path) -> None:
    own = {"nih": ("list.txt",), "mimic-cxr-jpg": ("split.csv.gz", "chexpert.csv.gz")}
    for name, endings in own.items():
        without = raw_files(plain_cohort(name, tmp_path))
        given = raw_files(plain_cohort(name, tmp_path, long_tail=str(tmp_path)))
        assert all(any(file.endswith(ending) for file in without) for ending in endings)
        assert not any(file.endswith(endings) for file in given)
        assert sum("miccai2023_" in file for file in given) == 3


def test_data_sets_given_to_registered_users_only_are_credentialed() -> None:
    open_ones = {name for name, layout in LAYOUTS.items() if not layout.credentialed}
    assert open_ones == {"nih", "openi-xml", "openi-csv", "deeplesion", "slices"}
