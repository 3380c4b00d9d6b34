"""Both phases learn, a killed training goes on bit for bit, and what is annealed is where it should be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tests.patchib.conftest import CONTEXT, PATCHES, SIZE, Cohort

from cxrflow import training as loop
from cxrflow.patchib.export import export_models
from cxrflow.patchib.exported import Exported
from cxrflow.patchib.settings import EvaluationSettings, LocalSettings, MaskSettings, ModelSettings, TrainingSettings
from cxrflow.patchib.training import ModelChoice, ModelFiles, load_model, train_model

MODEL = ModelSettings(
    local=LocalSettings(kind="filip", weight=0.3),
    mask=MaskSettings(kind="token_drop", keep_start=1.0, keep=0.5, drop_layer=1),
)
TRAINING = TrainingSettings(epochs=3, batch_size=12, probe_images=24, learning_rate=1e-3, precision="fp32")
EVALUATION = EvaluationSettings(resamples=50, steps=3, curve_images=6, keep_ratios=(1.0, 0.5), batch_size=5)


@pytest.fixture(scope="module")
def choice(folder: str) -> ModelChoice:
    return ModelChoice("E", 4, folder, SIZE, CONTEXT, MODEL, TRAINING, threads=1)


def files(root: Path) -> ModelFiles:
    return ModelFiles(root / "model.safetensors", root / "history.csv", root / "resume")


@pytest.fixture(scope="module")
def trained(cohort: Cohort, choice: ModelChoice, tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    made = files(tmp_path_factory.mktemp("trained"))
    train_model(cohort.files, cohort.master, made, choice, [])
    return made


def test_the_first_phase_leaves_both_towers_as_they_were(
    cohort: Cohort, choice: ModelChoice, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = replace(choice, training=TRAINING.model_copy(update={"epochs": 1, "learning_rate": 0.0}))
    train_model(cohort.files, cohort.master, files(tmp_path), heads, [])
    before = load_file(Path(folder) / "open_clip_model.safetensors")
    after = load_file(tmp_path / "model.safetensors")
    blocks = [name for name in before if name.startswith("visual.trunk.blocks") or "encoder.layer" in name]
    renamed = {name: name.replace("visual.", "towers.").replace("text.transformer", "towers.bert") for name in blocks}
    assert all(torch.equal(before[name], after[renamed[name]]) for name in blocks)
    assert not torch.equal(before["visual.head.proj.weight"], after["towers.image_projection.proj.weight"])


def test_the_history_has_both_phases_and_everything_that_is_drawn(trained: ModelFiles) -> None:
    history = pd.read_csv(trained.history)
    assert history["phase"].tolist() == ["heads", "all", "all", "all"]
    assert {"train_loss", "loss", "recall", "auc", "combined", "kept", "learning_rate"} <= set(history)
    assert history[["recall", "auc"]].apply(lambda column: column.between(0, 1)).all(axis=None)
    assert history["learning_rate"].iloc[-1] < history["learning_rate"].max()


def test_the_share_that_is_kept_falls_and_is_saved_with_the_weights(trained: ModelFiles, choice: ModelChoice) -> None:
    assert pd.read_csv(trained.history)["kept"].iloc[-1] == pytest.approx(0.5)
    model, _ = load_model(choice, trained.weights)
    assert model.scorer is not None
    assert float(model.scorer.keep) == pytest.approx(0.5), "no epoch counts before the share has come to its end"


def test_a_killed_training_ends_like_an_undisturbed_one(
    trained: ModelFiles, cohort: Cohort, choice: ModelChoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"epochs": 0}
    whole = loop._train_epoch

    def killed(*arguments: Any) -> float:
        calls["epochs"] += 1
        if calls["epochs"] == 3:
            raise KeyboardInterrupt
        return whole(*arguments)

    made = files(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "_train_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            train_model(cohort.files, cohort.master, made, choice, [])
    assert sorted(file.name for file in made.resume.iterdir()) == ["all.pt", "heads.pt"]
    train_model(cohort.files, cohort.master, made, choice, [])
    assert made.weights.read_bytes() == trained.weights.read_bytes()
    pd.testing.assert_frame_equal(pd.read_csv(made.history), pd.read_csv(trained.history))
    assert list(made.resume.iterdir()) == []


def test_an_export_holds_every_split_and_seed_once(
    trained: ModelFiles, cohort: Cohort, choice: ModelChoice, tmp_path: Path
) -> None:
    output = tmp_path / "E.npz"
    trained_seeds = {trained.weights: choice}
    export_models(cohort.files, cohort.master, trained_seeds, output, EVALUATION)
    first = output.read_bytes()
    export_models(cohort.files, cohort.master, trained_seeds, output, EVALUATION)
    assert output.read_bytes() == first, "the same model gives the same bytes"
    export = Exported("E", 4, output)
    assert export.has_masks()
    assert export.embeddings() == ["own", "full"]
    assert [len(export.read(f"{split}/text")) for split in ("train", "validate", "test")] == [36, 12, 12]
    assert export.read("test/masks").sum(axis=1).tolist() == [PATCHES // 2] * 12
    np.testing.assert_allclose(export.read("share/0.5"), export.read("test/image/own"), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(export.read("prompts"), axis=-1), 1, atol=1e-5)
    assert export.read("words/test").shape == (6, PATCHES), "six of the twelve test radiographs have a box"


def test_curves_end_where_nothing_is_taken_away(
    trained: ModelFiles, cohort: Cohort, choice: ModelChoice, tmp_path: Path
) -> None:
    output = tmp_path / "E.npz"
    export_models(cohort.files, cohort.master, {trained.weights: choice}, output, EVALUATION)
    export = Exported("E", 4, output)
    deletion, insertion = export.read("curve/deletion"), export.read("curve/insertion")
    rows = export.read("curve/images")
    whole = (export.read("test/image/full")[rows] * export.read("test/text")[rows]).sum(axis=1)
    np.testing.assert_allclose(deletion[:, 0], whole, atol=1e-5)
    np.testing.assert_allclose(insertion[:, -1], whole, atol=1e-5)
    np.testing.assert_allclose(deletion[:, -1], insertion[:, 0], atol=1e-5)
