"""Labels of patients come from their key slices or a csv; what is wrong with a csv is told by line, without ids."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.clear.made_up_patients import LABELS, PATIENTS, write_cohort

from cxrflow.clear.downstream_settings import TaskSettings
from cxrflow.clear.folds import folds_of
from cxrflow.clear.tasks import Task, lesion_types, read_tasks
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.errors import UserError


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> CohortFiles:
    return write_cohort(tmp_path_factory.mktemp("cohort"))


def task_of(cohort: CohortFiles, file: Path, text: str, **about: object) -> Task:
    file.write_text(text)
    return read_tasks({"own": TaskSettings.model_validate({"source": "csv", "file": str(file), **about})}, cohort)[0]


def test_a_patient_has_the_types_of_its_key_slices_unless_one_is_unknown() -> None:
    box = [{"label": "lesion", "x": 1, "y": 1, "w": 2, "h": 2}]
    nothing = np.nan
    manifest = pd.DataFrame(
        [
            ("a", box, 1.0, 0.0),
            ("a", box, nothing, nothing),  # its type is unknown
            ("a", None, nothing, nothing),
            ("b", box, 0.0, 1.0),
            ("b", None, nothing, nothing),
            ("c", None, nothing, nothing),
            ("d", box, nothing, nothing),
        ],
        columns=["patient_id", "boxes", *LABELS],
    )
    found = lesion_types(manifest, list(LABELS))
    assert found.loc["a"].fillna(-1).tolist() == [1.0, -1.0]
    assert found.loc["b"].tolist() == [0.0, 1.0]
    assert found.loc["d"].isna().all()
    assert "c" not in found.index


def test_built_in_tasks_tell_of_patients_by_split(cohort: CohortFiles) -> None:
    named = {"types": TaskSettings(source="lesion_location"), "any": TaskSettings(source="abnormality")}
    types, abnormal = read_tasks(named, cohort)
    assert types.labels == LABELS
    assert not types.rows[list(LABELS)].eq(0).all(axis="columns").any(), "key slices have a lesion"
    assert len(abnormal.rows) == PATIENTS
    sick = abnormal.rows.loc[abnormal.rows["abnormal"] == 1, "bag"]
    assert set(sick) == set(types.rows["bag"])
    assert set(types.test["split"]) == {"test"}
    assert len(types.learnt) + len(types.test) == len(types.rows)


def test_a_csv_tells_of_patients_and_of_studies(cohort: CohortFiles, tmp_path: Path) -> None:
    text = "image,sick,all\n000000,1,x\n000001_01,0,x\n000004,,x\n000009,1.0,x\n"
    task = task_of(cohort, tmp_path / "t.csv", text)
    assert task.labels == ("sick",)
    assert task.rows["bag"].tolist() == ["000000", "000001_01", "000009"]
    assert task.rows["patient_id"].tolist() == ["000000", "000001", "000009"]
    assert task.rows["split"].tolist() == ["train", "train", "test"]


def test_classes_become_a_label_each_and_stages_a_label_per_step(cohort: CohortFiles, tmp_path: Path) -> None:
    text = "image,stage\n000000,10\n000001,2\n000002,1\n000004,2\n000009,\n"
    classes = task_of(cohort, tmp_path / "t.csv", text, kind="multi-class")
    assert classes.labels == ("1", "2", "10")
    assert classes.rows[["1", "2", "10"]].to_numpy().tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]]
    stages = task_of(cohort, tmp_path / "t.csv", text, kind="ordinal", classes=["1", "2", "10"])
    assert stages.labels == ("at least 2", "at least 10")
    assert stages.rows[list(stages.labels)].to_numpy().tolist() == [[1, 1], [1, 0], [0, 0], [1, 0]]


@pytest.mark.parametrize(
    ("text", "about", "message"),
    [
        ("patient,sick\n000000,1\n", {}, "expected `image`"),
        ("image,sick\n000000,1\n000000,0\n", {}, "first in line 3"),
        ("image,sick\n000000,1\n000004,maybe\n", {}, "first in line 3"),
        ("image,sick\n000000,1\n000004,0\n", {"labels": ["ill"]}, r"no columns \['ill'\]"),
        ("image\n000000\n", {}, "no columns of labels"),
        ("image,sick\n000000,1\n000004,0\nnobody,1\n", {}, "1 of 3 rows"),
        ("image,sick\n000000,1\n", {}, "nothing of the patients of the test split"),
        ("image,sick\n000004,1\n", {}, "nothing of the patients of the train"),
        ("image,a,b\n000000,1,2\n", {"kind": "ordinal"}, "expected one column of classes"),
        ("image,a\n000000,1\n000004,3\n", {"kind": "ordinal", "classes": ["1", "2"]}, "first in line 3"),
        ("image,a\n000000,1\n000004,1\n", {"kind": "multi-class"}, "1 classes"),
    ],
)
def test_what_is_wrong_with_a_csv_is_told(
    cohort: CohortFiles, tmp_path: Path, text: str, about: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        task_of(cohort, tmp_path / "t.csv", text, **about)


def test_an_absent_csv_and_an_unknown_type_are_told(cohort: CohortFiles, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be read"):
        read_tasks({"own": TaskSettings(source="csv", file=str(tmp_path / "none.csv"))}, cohort)
    with pytest.raises(UserError, match="spleen"):
        read_tasks({"own": TaskSettings(source="lesion_location", labels=("spleen",))}, cohort)


def test_folds_are_of_whole_patients_and_share_rare_labels() -> None:
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(100), 2)
    rows = pd.DataFrame({"bag": np.arange(200).astype(str), "patient_id": patients.astype(str), "split": "train"})
    rows["common"], rows["rare"] = (rng.random(100) < 0.5)[patients].astype(float), (patients < 10).astype(float)
    task = Task("t", "multi-label", ("common", "rare"), rows)
    fold = folds_of(task, task.learnt, 5, seed=0)
    assert pd.Series(fold).groupby(patients).nunique().max() == 1
    assert set(np.bincount(fold)) <= {38, 40, 42}
    assert set(np.bincount(fold, weights=rows["rare"])) <= {2, 4, 6}
    with pytest.raises(UserError, match="fewer than the 5 folds"):
        folds_of(task, rows[rows["patient_id"].isin(list("0123"))], 5, seed=0)


@pytest.mark.parametrize(
    "bad",
    [
        {"source": "csv"},
        {"source": "lesion_location", "file": "x.csv"},
        {"source": "abnormality", "kind": "ordinal"},
        {"source": "csv", "file": "x.csv", "classes": ["a", "b"]},
    ],
)
def test_settings_that_contradict_each_other_are_errors(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"file|multi"):
        TaskSettings.model_validate(bad)
