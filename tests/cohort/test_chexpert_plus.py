import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from cxrflow.cohort.adapters.chexpert_plus import read_chexpert_plus, report_sections
from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.adapters.reading import Cohort, read_cohort
from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.tables import write_manifest, write_reports
from cxrflow.errors import UserError

TABLE = "df_chexpert_plus_240401.csv"
TEXTS = {
    "report": "NARRATIVE:\nChest\n\nIMPRESSION:\nThe heart is enlarged.\n\nSUMMARY: 2-ABNORMAL\n\nACCESSION NUMBER: 7",
    "section_narrative": "Chest",
    "section_clinical_history": "61 years, cough",
    "section_history": None,
    "section_comparison": None,
    "section_technique": None,
    "section_findings": "The heart is enlarged. No effusion is seen.",
    "section_impression": "1. Cardiomegaly.\n\n2. No acute process",
    "section_end_of_impression": "I have personally reviewed the images.",
    "section_summary": "2-ABNORMAL",
    "section_accession_number": "7",
}


def entry(patient: int, study: int, view: str, split: str = "train", **changes: object) -> dict[str, Any]:
    """One row of the published table, its columns in the published order as far as they are known."""
    path = f"{split}/patient{patient:05d}/study{study}/{view}"
    row = {
        "path_to_image": path + ".jpg",
        "path_to_dcm": path + ".dcm",
        "frontal_lateral": view.rsplit("_", 1)[1].title(),
        "ap_pa": None if view.endswith("lateral") else "AP",
        "deid_patient_id": f"patient{patient:05d}",
        "patient_report_date_order": study,
        **TEXTS,
        "age": 62.0,
        "sex": "Female",
        "race": "White",
        "ethnicity": "Unknown",
        "split": split,
    }
    return {**row, **changes}


def labels(entry: dict[str, Any], **values: object) -> dict[str, Any]:
    return {"path_to_image": entry["path_to_image"], **dict.fromkeys(CHEXPERT_LABELS), **values}


ENTRIES = [
    entry(1, 1, "view1_frontal"),
    entry(1, 1, "view2_lateral"),
    entry(2, 5, "view1_frontal", sex="Unknown", age=None),
    entry(64541, 1, "view1_frontal", "valid", ap_pa="PA", sex="Male"),
]


class Tree:
    """The folder of a copy of CheXpert Plus."""

    def __init__(self, root: Path, folder: str = "PNG") -> None:
        self.root = root
        self.folder = folder
        self.table(ENTRIES)
        for section in ("report", "findings", "impression"):
            self.labels(
                [json.dumps(labels(row, Cardiomegaly=1.0, Edema=-1.0, Fracture=0.0)) for row in ENTRIES], section
            )
        for row in ENTRIES:
            self.image(row["path_to_image"].replace(".jpg", ".png"))

    def table(self, rows: list[dict[str, Any]]) -> None:
        pd.DataFrame(rows).to_csv(self.root / TABLE, index=False)

    def labels(self, lines: list[str], section: str = "report") -> None:
        path = self.root / f"chexbert_labels/{section}_fixed.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")

    def image(self, path: str) -> Path:
        file = self.root / self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 6)).save(file)
        return file

    def read(self, **settings: object) -> tuple[Cohort, list[tuple[str, str, str]]]:
        refused = Quarantine("test")
        source = Source(self.root, self.root)
        cohort = read_cohort("chexpert-plus", source, ReadingSettings.model_validate(settings), refused)
        return cohort, [(file, row, reason) for file, row, _, reason in refused.rows]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_images_have_their_patient_study_view_split_sex_and_age(tree: Tree) -> None:
    cohort, refused = tree.read(views=["AP", "PA", "LATERAL"])
    assert cohort.manifest["image_id"].tolist() == [
        "patient00001_study1_view1_frontal", "patient00001_study1_view2_lateral",
        "patient00002_study5_view1_frontal", "patient64541_study1_view1_frontal",
    ]  # fmt: skip
    assert cohort.manifest["patient_id"].tolist() == ["patient00001", "patient00001", "patient00002", "patient64541"]
    assert cohort.manifest["view"].tolist() == ["AP", "LATERAL", "AP", "PA"]
    assert cohort.manifest["official_split"].tolist() == ["train", "train", "train", "valid"]
    assert cohort.manifest["sex"].fillna("none").tolist() == ["F", "F", "none", "M"]
    assert cohort.manifest["age"].fillna(-1).tolist() == [62, 62, -1, 62]
    assert (cohort.manifest["height"].iloc[0], cohort.manifest["width"].iloc[0], refused) == (6, 4, [])


@pytest.mark.parametrize("folder", ["PNG", "PNG/PNG", "."])
def test_the_table_says_jpg_and_the_files_are_png_below_one_or_two_folders(tmp_path: Path, folder: str) -> None:
    tree = Tree(tmp_path, folder)
    prefix = "" if folder == "." else f"{folder}/"
    assert tree.read()[0].manifest["path"].iloc[0] == f"{prefix}train/patient00001/study1/view1_frontal.png"


def test_a_copy_that_kept_the_tables_suffix_is_read_too(tree: Tree) -> None:
    png = tree.root / "PNG/train/patient00001/study1/view1_frontal.png"
    png.rename(png.with_suffix(".jpg"))
    paths = tree.read()[0].manifest["path"].tolist()
    assert [Path(path).suffix for path in paths] == [".jpg", ".png", ".png"]


def test_labels_join_by_image_and_an_image_without_a_line_keeps_null(tree: Tree) -> None:
    tree.labels([json.dumps(labels(ENTRIES[0], Cardiomegaly=1.0, Edema=-1.0, Fracture=0.0))])
    manifest = tree.read()[0].manifest
    assert manifest.loc[0, ["Cardiomegaly", "Edema", "Fracture"]].tolist() == [1.0, -1.0, 0.0]
    assert pd.isna(manifest["Pneumonia"].iloc[0])
    assert manifest[list(CHEXPERT_LABELS)].iloc[1:].isna().all(axis=None)


def test_the_labels_of_the_chosen_part_are_read(tree: Tree) -> None:
    tree.labels([json.dumps(labels(row, Pneumonia=1.0)) for row in ENTRIES], "impression")
    assert tree.read(label_section="impression")[0].manifest["Pneumonia"].tolist() == [1.0, 1.0, 1.0]
    assert tree.read(label_section="report")[0].manifest["Pneumonia"].isna().all()


def test_labels_of_an_empty_part_of_the_report_say_nothing(tree: Tree) -> None:
    tree.table([{**row, "section_findings": None} if row is ENTRIES[0] else row for row in ENTRIES])
    tree.labels([json.dumps(labels(row, **{"No Finding": 1.0})) for row in ENTRIES], "findings")
    assert tree.read(label_section="findings")[0].manifest["No Finding"].fillna(9).tolist() == [9, 1, 1]


def test_a_study_has_one_report_however_many_images_it_has(tree: Tree) -> None:
    cohort, _ = tree.read(views=["AP", "PA", "LATERAL"])
    assert cohort.reports["study_id"].tolist() == ["patient00001_study1", "patient00002_study5", "patient64541_study1"]
    first = cohort.reports.iloc[0]
    assert first["findings"] == "The heart is enlarged. No effusion is seen."
    assert first["impression"] == "Cardiomegaly. No acute process"
    assert first["text"] == "The heart is enlarged. No effusion is seen. Cardiomegaly. No acute process"
    assert "61 years, cough" in first["other"]
    assert cohort.input_rows == 4 + 3


def test_the_signature_and_the_abnormality_code_are_no_part_of_a_report() -> None:
    without = {**TEXTS, "section_findings": None, "section_impression": None}
    for columns in (TEXTS, without):
        text = " ".join(report_sections(columns).values())
        assert "heart is enlarged" in text
        assert "ABNORMAL" not in text
        assert "personally" not in text


def test_the_whole_report_is_cut_into_sections_where_both_columns_are_empty() -> None:
    nothing = dict.fromkeys(TEXTS, float("nan"))
    assert report_sections({**nothing, "report": TEXTS["report"]})["impression"] == "The heart is enlarged."
    assert report_sections(nothing) == {}


def test_a_study_without_text_and_one_with_two_reports_are_quarantined(tree: Tree) -> None:
    silent = {**ENTRIES[2], **dict.fromkeys(TEXTS)}
    tree.table([ENTRIES[0], {**ENTRIES[1], "section_findings": "Another text."}, silent, ENTRIES[3]])
    cohort, refused = tree.read()
    assert refused == [
        (TABLE, "patient00001_study1", "the study's rows have unlike reports"),
        (TABLE, "patient00002_study5", "the report is missing"),
    ]
    assert cohort.reports["study_id"].tolist() == ["patient64541_study1"]


@pytest.mark.parametrize(
    "line",
    [
        '{"path_to_image": "train/pat',
        "[1, 2]",
        '{"path": "train/patient00001/study1/view1_frontal.jpg"}',
        '{"path_to_image": 7}',
        "[" * 100_000,
        "\x00",
    ],
)
def test_a_broken_line_of_labels_is_quarantined_by_its_number(tree: Tree, line: str) -> None:
    tree.labels([json.dumps(labels(ENTRIES[0], Edema=1.0)), line, "", json.dumps(labels(ENTRIES[2], Edema=0.0))])
    cohort, refused = tree.read()
    reason = "the line is not a JSON object with path_to_image"
    assert refused == [("chexbert_labels/report_fixed.json", "line 2", reason)]
    assert cohort.manifest["Edema"].fillna(9).tolist() == [1, 0, 9]


@pytest.mark.parametrize("value", [7, "yes", [1.0], {"value": 1}])
def test_an_unknown_label_value_is_quarantined_and_its_image_has_no_labels(tree: Tree, value: object) -> None:
    tree.labels([json.dumps(labels(ENTRIES[0], Edema=value)), json.dumps(labels(ENTRIES[2], Edema=0.0))])
    cohort, refused = tree.read()
    assert [(row, reason) for _, row, reason in refused] == [
        (ENTRIES[0]["path_to_image"], "a label is not 1, 0, -1 or empty")
    ]
    assert cohort.manifest["Edema"].fillna(9).tolist() == [9, 0, 9]


def test_two_lines_of_one_image_and_a_line_of_no_image_are_quarantined(tree: Tree) -> None:
    lines = [labels(ENTRIES[0], Edema=1.0), labels(ENTRIES[0], Edema=0.0), labels({"path_to_image": "elsewhere.png"})]
    tree.labels([json.dumps(line) for line in lines])
    cohort, refused = tree.read()
    assert sorted(reason for _, _, reason in refused) == [
        "the image has two lines of labels", "the image has two lines of labels",
        "the path names no patient, study and view",
    ]  # fmt: skip
    assert cohort.manifest["Edema"].isna().all()


def test_bad_rows_are_quarantined_and_the_others_are_read(tree: Tree) -> None:
    tree.table(
        [
            entry(1, 1, "view1_frontal", split="train", deid_patient_id=None),
            {**ENTRIES[2], "split": "holdout"},
            entry(4, 1, "view1_frontal", frontal_lateral="Oblique"),
            entry(5, 1, "view1_frontal", path_to_image="train/nobody.jpg"),
            entry(6, 1, "view1_frontal"),
            ENTRIES[3],
        ]
    )
    cohort, refused = tree.read()
    assert {reason for _, _, reason in refused} == {
        "the image has no patient", "no known split", "the image is neither frontal nor lateral",
        "the path names no patient, study and view", "the image file is missing",
    }  # fmt: skip
    assert cohort.manifest["patient_id"].tolist() == ["patient64541"]


def test_a_repeated_image_and_an_empty_file_are_quarantined(tree: Tree) -> None:
    tree.table([*ENTRIES, ENTRIES[0]])
    (tree.root / "PNG/train/patient00002/study5/view1_frontal.png").write_bytes(b"")
    cohort, refused = tree.read()
    assert {reason for _, _, reason in refused} == {"the image's id is not unique", "the image file is empty"}
    assert cohort.manifest["patient_id"].tolist() == ["patient64541"]


@pytest.mark.parametrize("prefix", ["../../", "train/../../../"])
def test_a_path_that_leads_out_of_the_root_is_an_error(tree: Tree, prefix: str) -> None:
    tree.table([entry(1, 1, "view1_frontal", path_to_image=f"{prefix}patient00001/study1/view1_frontal.jpg")])
    with pytest.raises(UserError, match="leads out of"):
        tree.read()


def test_files_that_are_not_as_published_are_errors_that_show_what_they_hold(tree: Tree) -> None:
    tree.labels([json.dumps({"path_to_image": "train/patient00001/study1/view1_frontal.jpg", "Oedema": 1})])
    with pytest.raises(UserError, match=r"lack .*'Edema'.* their keys are \['path_to_image', 'Oedema'\]"):
        tree.read()
    tree.labels(["[", "]"])
    with pytest.raises(UserError, match=r"no line that is a JSON object.*\nHint: expected are JSON lines"):
        tree.read()
    tree.table([{name: value for name, value in ENTRIES[0].items() if name != "ap_pa"}])
    with pytest.raises(UserError, match=r"lacks \['ap_pa'\]; its header is .*'race'"):
        tree.read()
    tree.table(ENTRIES)
    (tree.root / "chexbert_labels/report_fixed.json").unlink()
    with pytest.raises(UserError, match=r"report_fixed\.json are missing"):
        tree.read()


def test_the_tables_are_canonical(tree: Tree, tmp_path: Path) -> None:
    cohort, _ = tree.read()
    write_manifest(tmp_path / "manifest.parquet", cohort.manifest, cohort.labels)
    write_reports(tmp_path / "reports.parquet", cohort.reports)
    assert len(pd.read_parquet(tmp_path / "reports.parquet")) == 3


def test_twenty_thousand_rows_are_read_and_images_carry_no_text(tmp_path: Path) -> None:
    filler = "The lungs are clear. " * 60
    rows = [entry(n, 1, "view1_frontal", report=filler, section_findings=filler + str(n)) for n in range(20_000)]
    tree = Tree(tmp_path)
    tree.table(rows)
    tree.labels([json.dumps(labels(row, Edema=1.0)) for row in rows])
    refused = Quarantine("test")
    raw = read_chexpert_plus(Source(tmp_path, tmp_path), ReadingSettings(), refused)
    assert (raw.rows, len(raw.images), refused.rows) == (20_000, 20_000, [])
    assert not set(raw.images) & set(TEXTS)
