"""Which rows of the real table are simulated, with which classes: a long tail as published, patients whole."""

import logging
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from cxrflow.cohort.long_tail import ADDED_CLASSES, NIH_CLASSES, NO_FINDING
from cxrflow.cohort.simulation.drawers import DRAWERS
from cxrflow.cohort.simulation.nih_added import added_counts, published_rate
from cxrflow.cohort.simulation.nih_findings import NIH_DRAWN, NIH_LABEL_OF, drawn_findings
from cxrflow.cohort.simulation.nih_plan import NihImage, plan_images, published_classes
from cxrflow.cohort.simulation.nih_split import split_patients
from cxrflow.cohort.simulation.nih_table import COLUMNS, IMAGES, NO_FINDINGS, installed_table, read_nih_table
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.shapes import SHAPES
from cxrflow.errors import UserError

SETTINGS = SimulationSettings(anatomy="phantom", studies=2400, size=64)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return read_nih_table(installed_table())


@pytest.fixture(scope="module")
def plan(table: pd.DataFrame) -> list[NihImage]:
    return plan_images(table, SETTINGS)


def having(plan: list[NihImage], name: str) -> list[NihImage]:
    return [image for image in plan if name in image.classes]


def cell(image: NihImage, column: str) -> str:
    return image.row[COLUMNS.index(column)]


def test_the_installed_table_is_the_published_one(table):
    assert len(table) == IMAGES == 112_120
    assert table["Patient ID"].nunique() == 30_805
    assert (table["Finding Labels"] == "No Finding").sum() == NO_FINDINGS == 60_361


def test_the_order_of_the_tables_rows_means_nothing(table, tmp_path):
    shuffled = table.iloc[np.random.default_rng(0).permutation(len(table))[:500]]
    for name, rows in (("a.csv", shuffled), ("b.csv", shuffled[::-1])):
        rows.to_csv(tmp_path / name, index=False)
    pd.testing.assert_frame_equal(read_nih_table(tmp_path / "a.csv"), read_nih_table(tmp_path / "b.csv"))


def test_a_table_of_another_header_is_refused(tmp_path):
    (tmp_path / "other.csv").write_text("Image Index,Finding Labels\n00000001_000.png,Mass\n")
    with pytest.raises(UserError, match="Expected the columns"):
        read_nih_table(tmp_path / "other.csv")


def test_as_many_images_as_asked_for_of_whole_patients(table, plan):
    assert len(plan) == SETTINGS.studies
    chosen = Counter(image.patient_id for image in plan)
    real = table.groupby(table["Patient ID"].astype(int)).size()
    assert all(real[patient] == count for patient, count in chosen.items())


def test_rows_are_those_of_the_table_unchanged(table, plan):
    rows = set(table.itertuples(index=False, name=None))
    assert {image.row for image in plan} <= rows
    assert len({image.image_id for image in plan}) == len(plan)


def test_the_classes_are_as_frequent_as_in_the_table(table, plan):
    real = published_classes(table["Finding Labels"]).mean()
    for name in ("No Finding", "Infiltration", "Effusion", "Atelectasis", "Nodule"):
        drawn = sum(name in cell(image, "Finding Labels").split("|") for image in plan)
        assert drawn / len(plan) == pytest.approx(real[name], rel=0.25)


def test_the_published_rate_by_hand():
    assert published_rate("Subcutaneous Emphysema") == pytest.approx(957 / 44_625 * 60_361 / 112_120)
    assert published_rate("Pneumomediastinum") == pytest.approx(0.0010617, rel=1e-3)


def test_added_classes_come_at_the_published_rate_in_three_patients_at_least(plan):
    counts = added_counts(2400)
    assert counts == {
        "Calcification of the Aorta": 11, "Pneumomediastinum": 3, "Pneumoperitoneum": 6,
        "Subcutaneous Emphysema": 28, "Tortuous Aorta": 17,
    }  # fmt: skip
    for name, count in counts.items():
        images = having(plan, name)
        assert len(images) == count
        assert len({image.patient_id for image in images}) >= 3


def test_the_log_tells_where_a_rate_is_raised(caplog):
    with caplog.at_level(logging.INFO):
        assert added_counts(240)["Pneumoperitoneum"] == 3
    assert "Pneumoperitoneum: 3 images instead of the 0.6 at the published rate." in caplog.text
    assert "Subcutaneous Emphysema" not in caplog.text  # 2.8 images: rounded, not raised


def test_no_finding_means_none_of_the_other_nineteen(plan):
    for image in plan:
        assert len(image.classes) == 1 or (image.classes and NO_FINDING not in image.classes)
        if cell(image, "Finding Labels") == "No Finding":
            assert (NO_FINDING in image.classes) == (not image.classes & set(ADDED_CLASSES))
    assert any(cell(image, "Finding Labels") == "No Finding" and NO_FINDING not in image.classes for image in plan)


def test_an_image_keeps_the_classes_of_its_row(plan):
    for image in plan:
        original = set(cell(image, "Finding Labels").replace("_", " ").split("|")) - {NO_FINDING}
        assert image.classes - set(ADDED_CLASSES) - {NO_FINDING} == original


def test_air_outside_the_lung_mostly_comes_with_a_ruptured_lung(plan):
    wall, middle = having(plan, "Subcutaneous Emphysema"), having(plan, "Pneumomediastinum")
    ruptured = {"Emphysema", "Pneumothorax", "Pneumomediastinum"}
    assert sum(bool(image.classes & ruptured) for image in wall) > 0.5 * len(wall)
    ruptured = {"Emphysema", "Pneumothorax", "Subcutaneous Emphysema"}
    assert sum(bool(image.classes & ruptured) for image in middle) > 0.5 * len(middle)


def test_an_aged_aorta_is_that_of_an_older_patient(plan):
    ages = {image.image_id: float(cell(image, "Patient Age")) for image in plan}
    typical = np.median(list(ages.values()))
    for name in ("Tortuous Aorta", "Calcification of the Aorta"):
        assert np.median([ages[image.image_id] for image in having(plan, name)]) > typical + 8


def test_no_patient_is_in_two_splits_and_every_class_in_every_split_where_there_are_three_patients(plan):
    splits: dict[int, set[str]] = {}
    for image in plan:
        splits.setdefault(image.patient_id, set()).add(image.split)
    assert all(len(names) == 1 for names in splits.values())
    for name in NIH_CLASSES:
        images = having(plan, name)
        if len({image.patient_id for image in images}) >= 3:
            assert {image.split for image in images} == {"train", "validate", "test"}, name


def test_the_shares_of_images_are_near_those_asked_for(plan):
    counts = Counter(image.split for image in plan)
    for name, share in zip(("train", "validate", "test"), SETTINGS.split_shares, strict=True):
        assert counts[name] / len(plan) == pytest.approx(share, abs=0.05)


def test_a_class_of_two_patients_is_trained_and_tested_on():
    classes = pd.DataFrame({"rare": [True, True] + [False] * 20, "common": [False, False] + [True] * 20})
    patients = pd.Series([str(number) for number in range(22)])
    split = split_patients(classes, patients, (0.7, 0.12, 0.18), np.random.default_rng(0))
    assert {split["0"], split["1"]} == {"train", "test"}
    assert len(split) == 22


def test_views_and_sexes_are_the_tables_and_images_of_a_patient_share_the_body(plan):
    for image in plan:
        assert image.scene.view == cell(image, "View Position")
        assert image.scene.sex == cell(image, "Patient Gender")
        assert image.scene.bedside == (image.scene.view == "AP")
    assert len({image.scene.patient for image in plan}) == len({image.patient_id for image in plan})
    assert len({image.scene.number for image in plan}) == len(plan)


def test_the_same_settings_give_the_same_plan_and_another_seed_another(table, plan):
    assert plan_images(table, SETTINGS) == plan
    other = plan_images(table, SETTINGS.model_copy(update={"seed": 1}))
    assert {image.image_id for image in other} != {image.image_id for image in plan}


def test_more_images_than_the_table_has_are_a_users_mistake(table):
    with pytest.raises(UserError, match="500 images were asked for; the table of ChestX-ray14 has 400"):
        plan_images(table[:400], SETTINGS.model_copy(update={"studies": 500}))


def test_every_class_but_no_finding_is_drawn_and_has_a_finding_of_its_own():
    assert set(NIH_DRAWN) == set(NIH_CLASSES) - {NO_FINDING}
    assert len(NIH_LABEL_OF) == len(NIH_DRAWN)
    assert set(NIH_LABEL_OF) <= set(DRAWERS) | set(SHAPES)


def test_an_image_draws_what_it_is_labelled_with(plan):
    for image in plan:
        drawn = {NIH_LABEL_OF[one.finding][0] for one in image.scene.findings if one.finding in NIH_LABEL_OF}
        assert drawn == image.classes - {NO_FINDING}


def test_lines_and_tubes_tell_the_bedside_from_no_class():
    counts = Counter(
        (view, bool(drawn_findings({NO_FINDING}, view, np.random.default_rng(seed))))
        for view in ("AP", "PA")
        for seed in range(400)
    )
    assert counts["AP", True] > 3 * counts["PA", True] > 0
    with_edema = sum(len(drawn_findings({"Edema"}, "AP", np.random.default_rng(seed))) - 1 for seed in range(400))
    assert with_edema == pytest.approx(counts["AP", True], rel=0.3)
