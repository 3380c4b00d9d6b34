"""All folds, shares and aggregators of one encoder: patients never meet themselves, and a killed job goes on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tests.clear.made_up_patients import LABELS, telling_store, write_cohort

from cxrflow.clear import downstream
from cxrflow.clear.downstream import AggregatedFiles, EncoderSeed, Fold, Run, aggregate
from cxrflow.clear.downstream_settings import AggregationSettings, TaskSettings
from cxrflow.clear.feature_store import FeatureStore
from cxrflow.clear.slice_order import slices_in_order
from cxrflow.clear.tasks import Task, read_tasks

torch.set_num_threads(1)

HOW = AggregationSettings(
    aggregators=("abmil", "mean"), hidden=16, epochs=8, folds=3, fractions=(0.3, 1.0), learning_rate=0.01, batch_size=16
)
WHICH = EncoderSeed("lecl-1", 4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, list[Task], pd.DataFrame]:
    root = tmp_path_factory.mktemp("downstream")
    cohort = write_cohort(root, patients=100)
    slices = slices_in_order(cohort)
    return telling_store(root, slices), read_tasks({"types": TaskSettings(source="lesion_location")}, cohort), slices


def files_of(root: Path) -> AggregatedFiles:
    return AggregatedFiles(root / "predictions.parquet", root / "attention.parquet", root / "resume")


@pytest.fixture(scope="module")
def made(
    data: tuple[FeatureStore, list[Task], pd.DataFrame], tmp_path_factory: pytest.TempPathFactory
) -> AggregatedFiles:
    outputs = files_of(tmp_path_factory.mktemp("made"))
    aggregate(data[0], data[1], WHICH, outputs, HOW, 1, [])
    assert not outputs.resume.exists()
    return outputs


def test_predictions_are_one_row_per_run_bag_and_label(
    data: tuple[FeatureStore, list[Task], pd.DataFrame], made: AggregatedFiles
) -> None:
    table, task = pd.read_parquet(made.predictions), data[1][0]
    runs = ["aggregator", "fraction", "fold"]
    assert not table.duplicated([*runs, "bag", "label"]).any()
    assert len(table) == 2 * 2 * len(LABELS) * (len(task.learnt) + 3 * len(task.test))
    tested = table[table["split"] == "test"]
    assert set(tested["bag"]) == set(task.test["bag"])
    held_out = table[table["split"] == "validate"].drop_duplicates([*runs, "bag"])
    assert (held_out.groupby(["aggregator", "fraction", "bag"]).size() == 1).all()
    assert set(held_out["bag"]) == set(task.learnt["bag"])
    truth = task.rows.set_index("bag")
    told = [truth.loc[bag, label] for bag, label in zip(table["bag"], table["label"], strict=True)]
    np.testing.assert_array_equal(table["truth"], told)


def test_folds_share_no_patient_and_a_larger_share_contains_the_smaller_one(
    data: tuple[FeatureStore, list[Task], pd.DataFrame],
) -> None:
    task = data[1][0]
    patients = task.learnt["patient_id"].to_numpy()
    held_out = []
    for number in range(HOW.folds):
        few, all_of_them = (Fold.of(Run(task, "mean", share, number), HOW) for share in (0.3, 1.0))
        assert set(few.train) < set(all_of_them.train)
        assert not set(patients[all_of_them.train]) & set(patients[all_of_them.held_out])
        assert not set(patients) & set(task.test["patient_id"])
        held_out += all_of_them.held_out.tolist()
    assert sorted(held_out) == list(range(len(patients)))


def test_what_the_features_tell_is_learnt(made: AggregatedFiles) -> None:
    table = pd.read_parquet(made.predictions)
    rows = table[(table["split"] == "test") & (table["fraction"] == 1.0) & (table["aggregator"] == "abmil")]
    areas = [roc_auc_score(own["truth"], own["logit"]) for _, own in rows.groupby(["fold", "label"])]
    assert np.mean(areas) > 0.8


def test_attention_sums_to_one_and_finds_the_slices_that_tell(
    data: tuple[FeatureStore, list[Task], pd.DataFrame], made: AggregatedFiles
) -> None:
    table, (_, tasks, slices) = pd.read_parquet(made.attention), data
    assert set(table["aggregator"]) == {"abmil"}, "the mean does not learn where to look"
    sums = table.groupby("bag")["attention"].sum()
    assert set(sums.index) == set(tasks[0].test["bag"])
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    key = set(slices.loc[slices["boxes"].notna(), "image_id"])
    on_key = table["image_id"].isin(key)
    assert table.loc[on_key, "attention"].sum() / len(sums) > 1.3 * on_key.mean()


def test_a_killed_job_keeps_finished_folds_and_ends_with_the_same_bytes(
    data: tuple[FeatureStore, list[Task], pd.DataFrame], made: AggregatedFiles, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    trained: list[int] = []
    whole = downstream.train_fold

    def counted(*arguments: object) -> object:
        if len(trained) == 7:
            raise KeyboardInterrupt
        trained.append(1)
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(downstream, "train_fold", counted)
    outputs = files_of(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        aggregate(data[0], data[1], WHICH, outputs, HOW, 1, [])
    assert len([*outputs.resume.rglob("*.npz")]) == 7
    monkeypatch.setattr(downstream, "train_fold", whole)
    aggregate(data[0], data[1], WHICH, outputs, HOW, 1, [])
    for name in ("predictions", "attention"):
        assert getattr(outputs, name).read_bytes() == getattr(made, name).read_bytes()


def test_another_encoder_seed_is_another_training(
    data: tuple[FeatureStore, list[Task], pd.DataFrame], made: AggregatedFiles, tmp_path: Path
) -> None:
    how = HOW.model_copy(update={"aggregators": ("mean",), "fractions": (1.0,)})
    aggregate(data[0], data[1], replace(WHICH, seed=5), files_of(tmp_path), how, 1, [])
    one, other = (pd.read_parquet(files.predictions) for files in (made, files_of(tmp_path)))
    one = one[(one["aggregator"] == "mean") & (one["fraction"] == 1.0)]
    assert one["bag"].tolist() == other["bag"].tolist()
    assert not np.allclose(one["logit"], other["logit"])
    assert pd.read_parquet(files_of(tmp_path).attention).empty
