"""A simulated CheXpert: real rows of whole patients, drawn as labelled, and a `valid` part that experts labelled."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.adapters.reading import read_cohort
from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.openi_index import LABEL_OF
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.simulation import trees
from cxrflow.cohort.simulation.chexpert_findings import (
    CHEXPERT_DRAWN,
    drawn_findings,
    expert_cells,
    shown_labels,
)
from cxrflow.cohort.simulation.chexpert_plan import CheXpertStudy, plan_chexpert
from cxrflow.cohort.simulation.chexpert_table import COLUMNS, IMAGES, LABELS, installed_chexpert, read_chexpert_table
from cxrflow.cohort.simulation.drawers import DRAWERS
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.shapes import SHAPES
from cxrflow.cohort.simulation.simulate import simulate_cohort
from cxrflow.errors import UserError

SETTINGS = SimulationSettings(anatomy="phantom", studies=600, size=64)
ALL = [*CHEXPERT_DRAWN, "Support Devices"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return read_chexpert_table(installed_chexpert())


@pytest.fixture(scope="module")
def plan(table: pd.DataFrame) -> list[CheXpertStudy]:
    return plan_chexpert(table, SETTINGS)


def rows_of(plan: list[CheXpertStudy], part: str) -> pd.DataFrame:
    return pd.DataFrame([row for study in plan if study.part == part for row in study.rows], columns=list(COLUMNS))


def patients(paths: pd.Series) -> pd.Series:
    return paths.str.extract(r"(patient\d+)")[0]


def test_the_installed_table_is_the_published_training_table(table: pd.DataFrame) -> None:
    assert len(table) == IMAGES == 223_414
    assert patients(table["Path"]).nunique() == 64_540
    assert set(LABELS) == set(CHEXPERT_LABELS)


def test_as_many_frontal_images_as_asked_for_of_whole_patients(table: pd.DataFrame, plan: list[CheXpertStudy]) -> None:
    rows = pd.concat([rows_of(plan, "train"), rows_of(plan, "valid")])
    assert len(rows) == sum(len(study.scene.images) for study in plan) == SETTINGS.studies
    assert set(rows["AP/PA"]) == {"AP", "PA"}
    frontal = table[table["AP/PA"].isin(["AP", "PA"])]
    real = Counter(patients(frontal["Path"]))
    assert all(real[patient] == count for patient, count in Counter(patients(rows["Path"])).items())
    assert not set(patients(rows_of(plan, "train")["Path"])) & set(patients(rows_of(plan, "valid")["Path"]))


def test_rows_of_the_train_part_are_those_of_the_table_unchanged(
    table: pd.DataFrame, plan: list[CheXpertStudy]
) -> None:
    rows = rows_of(plan, "train").sort_values("Path", ignore_index=True)
    real = table[table["Path"].isin(rows["Path"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, real)


def test_experts_leave_no_cell_empty_and_none_uncertain(table: pd.DataFrame, plan: list[CheXpertStudy]) -> None:
    valid = rows_of(plan, "valid")
    assert set(valid[list(LABELS)].to_numpy().ravel()) == {"0.0", "1.0"}
    real = table.set_index("Path").loc[valid["Path"].str.replace("/valid/", "/train/").tolist()]
    for label in ALL:
        said, seen = real[label].to_numpy(), valid[label].to_numpy()
        assert (seen[said == "1.0"] == "1.0").all()
    nothing = (valid[ALL].drop(columns="Support Devices") == "0.0").all(axis=1)
    assert (nothing == (valid["No Finding"] == "1.0")).all()


def test_what_a_finding_stands_for_is_present_with_it() -> None:
    cells = expert_cells(["Consolidation", "Cardiomegaly"])
    assert {label for label, cell in cells.items() if cell == "1.0"} == {
        "Consolidation", "Lung Opacity", "Cardiomegaly", "Enlarged Cardiomediastinum",
    }  # fmt: skip
    assert expert_cells(["Support Devices"])["No Finding"] == "1.0"


def test_every_other_uncertain_finding_is_there() -> None:
    rng = np.random.default_rng(0)
    cells = {label: "-1.0" if label == "Edema" else "0.0" for label in LABELS}
    shown = [shown_labels(cells, rng) for _ in range(400)]
    assert np.mean([one == ["Edema"] for one in shown]) == pytest.approx(0.5, abs=0.08)
    assert shown_labels({**cells, "Edema": "1.0"}, rng) == ["Edema"]


@pytest.mark.parametrize("label", ALL)
def test_what_is_drawn_for_a_label_makes_it_positive(label: str) -> None:
    (finding,) = drawn_findings([label], np.random.default_rng(0))
    assert label in LABEL_OF[finding.finding]
    assert finding.finding in DRAWERS or finding.finding in SHAPES


def test_an_opacity_that_has_a_name_is_drawn_once() -> None:
    rng = np.random.default_rng(0)
    assert [one.finding for one in drawn_findings(["Lung Opacity", "Pneumonia"], rng)] == ["pneumonia"]
    assert [one.finding for one in drawn_findings(["Lung Opacity", "Pleural Other"], rng)] == [
        "opacity",
        "pleural_thickening",
    ]


def test_the_same_settings_give_the_same_plan_and_another_seed_another(
    table: pd.DataFrame, plan: list[CheXpertStudy]
) -> None:
    few, small = table.head(2000), SETTINGS.model_copy(update={"studies": 60})
    assert plan_chexpert(few, small) == plan_chexpert(few, small)
    assert plan_chexpert(few, small) != plan_chexpert(few, small.model_copy(update={"seed": 1}))
    numbers = [study.scene.number for study in plan]
    assert len(set(numbers)) == len(numbers)


def test_more_images_than_there_are_is_an_error_with_a_hint(table: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="has 10 frontal ones"):
        plan_chexpert(table[table["Frontal/Lateral"] == "Frontal"].head(10), SETTINGS)


def test_a_table_of_another_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("Path,Sex\nx,Male\n")
    with pytest.raises(UserError, match="Expected the columns"):
        read_chexpert_table(tmp_path / "other.csv")


def test_the_tree_is_read_by_the_adapter_of_the_real_one(
    table: pd.DataFrame, tmp_path: Path, chest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "installed_chexpert", lambda: Path("none"))
    monkeypatch.setattr(trees, "read_chexpert_table", lambda path: table.head(3000))
    few = SETTINGS.model_copy(update={"studies": 24})
    simulate_cohort(tmp_path, chest, "chexpert", few, workers=1)
    refused = Quarantine("test")
    root = tmp_path / "chexpert"
    cohort = read_cohort("chexpert", Source(root, root), ReadingSettings(), refused)
    assert not refused.rows
    assert len(cohort.manifest) == 24
    assert set(cohort.manifest["official_split"]) == {"train", "valid"}
    assert all((root / path).is_file() for path in cohort.manifest["path"])
    assert set(cohort.manifest["height"]) == {64}
