"""What is told of each patient or study: built-in tasks from the manifest, and any other from a csv.

Whatever the task, its labels are columns of 1, 0 or NaN (not known): of classes, one column per class; of ordered ones,
a column "at least" per step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cxrflow.clear.downstream_settings import TaskKind, TaskSettings
from cxrflow.clear.task_tables import read_classes, read_labels
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.tables import read_labels as manifest_labels
from cxrflow.errors import UserError

HELD_OUT, TEST = "validate", "test"
"""What predictions are of: the fold held out, or the test split."""
ABNORMAL = "abnormal"


@dataclass(frozen=True)
class Task:
    """`rows` has one row per bag: bag (the id of a patient or a study), patient_id, split, one column per label."""

    name: str
    kind: TaskKind
    labels: tuple[str, ...]
    rows: pd.DataFrame

    @property
    def learnt(self) -> pd.DataFrame:
        """Rows of the train and validate splits."""
        return self.rows[self.rows["split"] != TEST].reset_index(drop=True)

    @property
    def test(self) -> pd.DataFrame:
        """Rows of the test split."""
        return self.rows[self.rows["split"] == TEST].reset_index(drop=True)


def read_tasks(settings: Mapping[str, TaskSettings], cohort: CohortFiles) -> list[Task]:
    """Return all tasks; raise UserError where one is not told of patients to learn from and of test patients."""
    slices = cohort.samples([], "zero")
    types = manifest_labels(cohort.manifest)
    tasks = [_read_task(name, about, slices, cohort.manifest, types) for name, about in settings.items()]
    for task in tasks:
        _require_both_parts(task)
    return tasks


def _read_task(name: str, about: TaskSettings, slices: pd.DataFrame, manifest: Path, types: list[str]) -> Task:
    if about.source == "csv":
        return _from_csv(name, about, slices)
    if about.source == "abnormality":
        marked = slices["boxes"].notna().groupby(slices["patient_id"]).max().astype(float)
        return _task(name, "multi-label", marked.to_frame(ABNORMAL), slices)
    labels = list(about.labels or types)
    unknown = sorted(set(labels) - set(types))
    if unknown or not labels:
        raise UserError(
            f"The task {name} asks for types of lesions {unknown}, and the cohort's are {types}.",
            "A cohort without types (plain slices) needs tasks of the source `csv`.",
        )
    return _task(name, "multi-label", lesion_types(pd.read_parquet(manifest), labels), slices)


def lesion_types(manifest: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """Return which types of lesions each patient of a manifest has, one row per patient with a key slice.

    1 where one is marked on some key slice; 0 where all key slices are known not to have one; NaN where the type of a
    lesion is unknown, as in the published training split.
    """
    key = manifest[manifest["boxes"].notna()]
    by_patient = key.groupby("patient_id")[labels]
    unknown = key[labels].isna().groupby(key["patient_id"]).max()
    present = by_patient.max().eq(1.0)
    return present.astype(float).where(present | ~unknown)


def _from_csv(name: str, about: TaskSettings, slices: pd.DataFrame) -> Task:
    assert about.file is not None  # its settings say so
    file = Path(about.file)
    if about.kind == "multi-label":
        return _task(name, about.kind, read_labels(file, about.labels), slices)
    classes = read_classes(file, about.labels, about.classes)
    names = list(classes.cat.categories)
    place = classes.cat.codes
    if about.kind == "ordinal":
        told = {f"at least {one}": place >= step for step, one in enumerate(names[1:], start=1)}
    else:
        told = {one: place == step for step, one in enumerate(names)}
    return _task(name, about.kind, pd.DataFrame(told).astype(float), slices)


def _task(name: str, kind: TaskKind, told: pd.DataFrame, slices: pd.DataFrame) -> Task:
    """Return a task of a table of labels by bag; bags of which nothing is known are left out."""
    told = told[told.notna().any(axis="columns")].sort_index()
    bags = _bags_of(slices)
    unknown = ~told.index.isin(bags.index)
    if unknown.any():
        raise UserError(
            f"{int(unknown.sum())} of {len(told)} rows of the task {name} name no patient or study of the cohort.",
            "The column `image` holds ids as in the manifest's patient_id or study_id (000001, or 000001_01); images "
            "that could not be decoded are in the quarantine table.",
        )
    labels = tuple(map(str, told.columns))
    rows = pd.concat([bags.loc[told.index], told], axis="columns")
    return Task(name, kind, labels, rows.rename_axis("bag").reset_index())


def _bags_of(slices: pd.DataFrame) -> pd.DataFrame:
    """Return patient_id and split of every patient and study, by id."""
    told = slices[["patient_id", "split"]]
    both = pd.concat([told.set_index(slices[name].to_numpy()) for name in ("patient_id", "study_id")])
    return both[~both.index.duplicated()]


def _require_both_parts(task: Task) -> None:
    for part, rows in (("train and validate splits", task.learnt), ("test split", task.test)):
        if rows.empty:
            raise UserError(
                f"The task {task.name} tells nothing of the patients of the {part}.",
                "Aggregators learn from the train and validate splits and are tested on the test split; see "
                "cohort/split.parquet.",
            )
