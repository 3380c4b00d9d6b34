import gzip
import importlib.util
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from cxrflow.cohort.adapters.chexpert import below_root, read_chexpert
from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.adapters.reading import Cohort, read_cohort
from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.tables import write_manifest
from cxrflow.errors import UserError

HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
NAME = "CheXpert-v1.0-small"
TRAIN = [
    f"{NAME}/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0",
    f"{NAME}/train/patient00002/study2/view1_frontal.jpg,Male,87,Frontal,PA,,,-1.0,1.0,,,,,,,,,,",
    f"{NAME}/train/patient00002/study2/view2_lateral.jpg,Male,87,Lateral,,,,-1.0,1.0,,,,,,,,,,",
    f"{NAME}/train/patient00003/study1/view1_frontal.jpg,Unknown,0,Frontal,LL,,,,,,,,,,,,,,",
]
VALID = [
    f"{NAME}/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP," + ",".join(["0.0"] * 14),
]


class Tree:
    """The folder of CheXpert's small copy."""

    def __init__(self, root: Path, name: str = NAME) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self.table("train", [row.replace(NAME, name) for row in TRAIN])
        self.table("valid", [row.replace(NAME, name) for row in VALID])
        for row in (*TRAIN, *VALID):
            self.image(row.split(",")[0].removeprefix(NAME + "/"))

    def table(self, name: str, rows: list[str], header: str = HEADER) -> None:
        (self.root / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")

    def image(self, path: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 6)).save(self.root / path)

    def read(self, root: Path | None = None, **settings: object) -> tuple[Cohort, list[tuple[str, str, str]]]:
        refused = Quarantine("test")
        source = Source(root or self.root, self.root)
        cohort = read_cohort("chexpert", source, ReadingSettings.model_validate(settings), refused)
        return cohort, [(file, row, reason) for file, row, _, reason in refused.rows]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / NAME)


def test_patient_and_study_come_from_the_path(tree: Tree) -> None:
    cohort, refused = tree.read()
    assert cohort.manifest[["image_id", "patient_id", "study_id"]].values.tolist() == [
        ["patient00001_study1_view1_frontal", "patient00001", "patient00001_study1"],
        ["patient00002_study2_view1_frontal", "patient00002", "patient00002_study2"],
        ["patient00003_study1_view1_frontal", "patient00003", "patient00003_study1"],
        ["patient64541_study1_view1_frontal", "patient64541", "patient64541_study1"],
    ]
    assert cohort.manifest["official_split"].tolist() == ["train", "train", "train", "valid"]
    assert (cohort.manifest["height"].iloc[0], cohort.manifest["width"].iloc[0]) == (6, 4)
    assert (cohort.input_rows, len(cohort.reports), refused) == (5, 0, [])


def test_a_frontal_view_that_is_neither_ap_nor_pa_is_frontal_and_a_lateral_one_lateral(tree: Tree) -> None:
    manifest = tree.read(views=["AP", "PA", "FRONTAL", "LATERAL"])[0].manifest
    assert manifest["view"].tolist() == ["AP", "PA", "LATERAL", "FRONTAL", "AP"]


def test_sex_is_one_letter_and_an_unknown_sex_and_the_age_zero_are_empty(tree: Tree) -> None:
    manifest = tree.read()[0].manifest
    assert manifest["sex"].fillna("none").tolist() == ["F", "M", "none", "M"]
    assert manifest["age"].fillna(-1).tolist() == [68, 87, -1, 73]


def test_present_absent_uncertain_and_not_mentioned_are_kept_apart(tree: Tree) -> None:
    manifest = tree.read()[0].manifest
    assert manifest["Cardiomegaly"].fillna(9).tolist() == [9, -1, 9, 0]
    assert manifest["Pneumothorax"].fillna(9).tolist() == [0, 9, 9, 0]
    assert manifest["Support Devices"].fillna(9).tolist() == [1, 9, 9, 0]


@pytest.mark.parametrize("name", [NAME, "CheXpert-v1.0"])
def test_root_is_the_data_sets_folder_or_the_one_that_holds_it(tmp_path: Path, name: str) -> None:
    tree = Tree(tmp_path / name, name)
    tail = "train/patient00001/study1/view1_frontal.jpg"
    assert tree.read()[0].manifest["path"].iloc[0] == tail
    assert tree.read(root=tmp_path)[0].manifest["path"].iloc[0] == f"{name}/{tail}"


def test_bad_rows_are_quarantined_and_the_others_are_read(tree: Tree) -> None:
    bad = [
        TRAIN[0].replace(",1.0,", ",2.0,", 1),  # unknown label value
        TRAIN[1].replace(",Frontal,", ",Oblique,"),
        f"{NAME}/train/someone/view1.jpg,Male,87,Frontal,PA" + "," * 14,
        TRAIN[3],
    ]
    tree.table("train", bad)
    cohort, refused = tree.read()
    assert {reason for _, _, reason in refused} == {
        "a label is not 1, 0, -1 or empty",
        "the image is neither frontal nor lateral",
        "the path names no patient, study and view",
    }
    assert {(file, row) for file, row, _ in refused} == {("train.csv", row.split(",")[0]) for row in bad[:3]}
    assert cohort.manifest["patient_id"].tolist() == ["patient00003", "patient64541"]


def test_a_repeated_image_a_missing_and_an_empty_file_are_quarantined(tree: Tree) -> None:
    tree.table("valid", [*VALID, TRAIN[0]])
    (tree.root / "train/patient00002/study2/view1_frontal.jpg").unlink()
    (tree.root / "train/patient00003/study1/view1_frontal.jpg").write_bytes(b"")
    cohort, refused = tree.read()
    assert {(row, reason) for _, row, reason in refused} == {
        ("patient00001_study1_view1_frontal", "the image's id is not unique"),
        ("patient00002_study2_view1_frontal", "the image file is missing"),
        ("patient00003_study1_view1_frontal", "the image file is empty"),
    }
    assert cohort.manifest["patient_id"].tolist() == ["patient64541"]


@pytest.mark.parametrize("prefix", [f"{NAME}/../../outside", "../outside", "/outside"])
def test_a_path_that_leads_out_of_the_root_is_an_error(tree: Tree, prefix: str) -> None:
    tree.table("train", [TRAIN[0].replace(f"{NAME}/train", prefix)])
    with pytest.raises(UserError, match="leads out of"):
        tree.read()


def test_a_missing_column_shows_the_real_header(tree: Tree) -> None:
    tree.table("valid", VALID, HEADER.replace("Edema", "Oedema"))
    with pytest.raises(UserError, match=r"valid\.csv lacks \['Edema'\]; its header is .*'Oedema'"):
        tree.read()


def test_only_the_data_sets_own_name_is_dropped_from_paths(tmp_path: Path) -> None:
    paths = pd.Series(["CheXpert-v1.0/train/a.jpg", "train/a.jpg", "CheXpert-v1.0-small/train/a.jpg", "other/a.jpg"])
    assert below_root(paths, tmp_path).tolist() == ["train/a.jpg", "train/a.jpg", "train/a.jpg", "other/a.jpg"]


def test_the_manifest_is_canonical(tree: Tree, tmp_path: Path) -> None:
    cohort, _ = tree.read()
    write_manifest(tmp_path / "manifest.parquet", cohort.manifest, cohort.labels)
    assert len(pd.read_parquet(tmp_path / "manifest.parquet")) == 4


def test_the_real_training_table_has_its_published_counts(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("torchxrayvision")
    assert spec is not None
    assert spec.origin is not None
    content = gzip.decompress((Path(spec.origin).parent / "data/chexpert_train.csv.gz").read_bytes())
    (tmp_path / "train.csv").write_bytes(content)
    (tmp_path / "valid.csv").write_text("\n".join([HEADER, *VALID]) + "\n")
    refused = Quarantine("test")
    raw = read_chexpert(Source(tmp_path, tmp_path), ReadingSettings(), refused)
    train = raw.images[raw.images["official_split"] == "train"]
    assert (raw.rows, len(train), refused.rows) == (223_415, 223_414, [])
    assert (train["patient_id"].nunique(), train["study_id"].nunique()) == (64_540, 187_641)
    assert train["image_id"].is_unique
    assert train["view"].value_counts().to_dict() == {"AP": 161_590, "LATERAL": 32_387, "PA": 29_420, "FRONTAL": 17}
    assert train["age"].min() == 18
    assert int((train["Pleural Effusion"] == 1).sum()) == 86_187
    assert set(train[list(CHEXPERT_LABELS)].melt()["value"].dropna()) == {1.0, 0.0, -1.0}
