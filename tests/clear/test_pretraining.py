"""Pretraining: it learns, a killed run goes on to the same weights, and files say what they hold."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from cxrflow import training as loop
from cxrflow.clear.architectures import build
from cxrflow.clear.encoder_files import encoder_facts, read_encoder, write_encoder
from cxrflow.clear.pretraining import PretrainedFiles, PretrainingChoice, contrast_of, pretrain
from cxrflow.clear.pretraining_settings import (
    AugmentationSettings,
    DataSettings,
    PretrainingSettings,
    VariantSettings,
    checkpoint_name,
)
from cxrflow.clear.published import BASE, read_published
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.tables import write_manifest, write_split
from cxrflow.errors import UserError

torch.set_num_threads(1)

SIDE, SLICES = 32, 96
TRAINING = PretrainingSettings(
    epochs=10,
    batch_size=16,
    learning_rate=0.05,
    hidden=32,
    width=16,
    warmup_epochs=1,
    checkpoint_every=5,
    precision="fp32",
)
CHOICE = PretrainingChoice(
    DataSettings(image_size=32, slice_size=SIDE), AugmentationSettings(), TRAINING, VariantSettings(), 0, threads=1
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> CohortFiles:
    """Slices of stripes, each of a direction and width of its own; every fourth has a bright lesion."""
    folder, rng = tmp_path_factory.mktemp("slices"), np.random.default_rng(0)
    files = CohortFiles(
        *(folder / name for name in ("manifest.parquet", "split.parquet", "images.npy", "index.parquet"))
    )
    y, x = np.mgrid[:SIDE, :SIDE]
    angles, rates = rng.uniform(0, np.pi, SLICES), rng.uniform(0.2, 1.2, SLICES)
    phase = x * np.cos(angles)[:, None, None] + y * np.sin(angles)[:, None, None]
    images = (100 + 60 * np.sin(rates[:, None, None] * phase)).astype(np.uint8)
    boxes: list[Any] = [None] * SLICES
    for number in range(0, SLICES, 4):
        images[number, 10:16, 18:24] = 255
        boxes[number] = [{"label": "lung", "x": 18.0, "y": 10.0, "w": 6.0, "h": 6.0}]
    ids = pd.DataFrame({"image_id": [f"{number:03d}" for number in range(SLICES)]})
    ids = ids.assign(patient_id=ids["image_id"], study_id=ids["image_id"])
    about: dict[str, Any] = {
        "view": "AXIAL",
        "height": SIDE,
        "width": SIDE,
        "sex": None,
        "age": None,
        "official_split": None,
    }
    write_manifest(files.manifest, ids.assign(path=ids["image_id"], boxes=boxes, **about), [])
    write_split(files.split, ids.assign(split=["train"] * 64 + ["validate"] * 32))
    np.save(files.images, images)
    ids[["image_id"]].assign(row=range(SLICES)).to_parquet(files.index)
    return files


def files(root: Path) -> PretrainedFiles:
    return PretrainedFiles(*(root / name for name in ("weights.safetensors", "history.csv", "checkpoints", "state.pt")))


@pytest.fixture(scope="module")
def trained(cohort: CohortFiles, tmp_path_factory: pytest.TempPathFactory) -> PretrainedFiles:
    made = files(tmp_path_factory.mktemp("trained"))
    pretrain(cohort, made, CHOICE, [])
    return made


def test_the_loss_falls_and_features_do_not_collapse(trained: PretrainedFiles) -> None:
    history = pd.read_csv(trained.history)
    assert history["train_loss"].iloc[-3:].mean() < history["train_loss"].iloc[:3].mean()
    assert (history["spread"] > 0.05).all()


def test_the_last_epoch_is_kept_under_the_published_kind_of_name(trained: PretrainedFiles) -> None:
    names = sorted(file.name for file in trained.checkpoints.iterdir())
    assert names == [f"conv_small-moco-lecl-1-demo-checkpoint_{epochs:04d}.safetensors" for epochs in (5, 10)]
    assert (trained.checkpoints / names[-1]).read_bytes() == trained.weights.read_bytes()
    assert (trained.checkpoints / names[0]).read_bytes() != trained.weights.read_bytes()
    assert not trained.resume.exists()
    assert encoder_facts(trained.weights)["mode"] == "moco-lecl-1"


@pytest.mark.parametrize(("sampling", "weight", "mode"), [("lesion", 0, "moco-lecl-0"), ("none", 0, "moco")])
def test_a_checkpoint_is_named_by_what_was_trained(sampling: Any, weight: float, mode: str) -> None:
    variant = VariantSettings(sampling=sampling, sample_weight=weight)
    assert checkpoint_name(TRAINING, variant, 7) == f"conv_small-{mode}-demo-checkpoint_0007.safetensors"


def test_a_killed_run_ends_with_the_same_files(
    cohort: CohortFiles, trained: PretrainedFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, real, saved = files(tmp_path), loop._save, []

    def killed(*state: Any) -> None:
        real(*state)
        saved.append(state)
        if len(saved) == 7:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop, "_save", killed)
        with pytest.raises(KeyboardInterrupt):
            pretrain(cohort, made, CHOICE, [])
    pretrain(cohort, made, CHOICE, [])
    for name in ("weights.safetensors", "history.csv", "checkpoints"):
        one, other = tmp_path / name, trained.weights.parent / name
        for file in sorted(one.iterdir()) if one.is_dir() else [one]:
            assert file.read_bytes() == (other / file.name if one.is_dir() else other).read_bytes(), file


def test_the_follower_gets_no_gradient_and_follows_once_per_batch() -> None:
    model = contrast_of(
        replace(CHOICE, training=TRAINING.model_copy(update={"recipe": "legacy", "momentum": None})), updates=4
    )
    before = [value.clone() for value in model.follower.parameters()]
    with torch.no_grad():
        for value in model.base.parameters():
            value.add_(1)
    model.train()
    views = torch.rand(2, 8, 1, 32, 32)
    model(views[0], views[1], torch.zeros(8, dtype=torch.bool)).backward()
    assert all(value.grad is None for value in model.follower.parameters())
    assert all(value.grad is not None for value in model.base.parameters())
    for value, old in zip(model.follower.parameters(), before, strict=True):
        torch.testing.assert_close(value, old + 0.01, atol=1e-5, rtol=1e-4)
    model.eval()(views[0], views[1], torch.zeros(8, dtype=torch.bool))
    assert model.updates == 1


def test_an_encoder_comes_back_from_its_file_and_others_are_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder, file, images = build("conv_small", 32).eval(), tmp_path / "e.safetensors", torch.rand(2, 1, 32, 32)
    write_encoder(file, encoder, "conv_small", 32, "moco")
    assert torch.equal(read_encoder(file).eval()(images), encoder(images))
    write_encoder(file, encoder, "vit_tiny", 32, "moco")
    with pytest.raises(UserError, match="does not fit the encoder"):
        read_encoder(file)
    file.write_bytes(b"{}")
    with pytest.raises(UserError, match="can't be read as safetensors"):
        read_encoder(file)


def test_a_published_checkpoint_gives_its_encoder_without_the_projector(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder, file, images = build("vit_tiny", 32).eval(), tmp_path / "c.pth.tar", torch.rand(2, 1, 32, 32)
    state = {BASE + name: value for name, value in encoder.network.state_dict().items()}
    other = {BASE + "head.0.weight": torch.zeros(3), "module.momentum_encoder.cls_token": torch.zeros(1)}
    torch.save({"epoch": 3, "arch": "vit_tiny", "state_dict": state | other}, file)
    assert torch.equal(read_published(file, "vit_tiny", 32).eval()(images), encoder(images))
    torch.save({"state_dict": other | dict(list(state.items())[1:])}, file)
    with pytest.raises(UserError, match=r"1 of \d+ weights are missing"):
        read_published(file, "vit_tiny", 32)
    torch.save({"state_dict": {"cls_token": torch.zeros(1)}}, file)
    with pytest.raises(UserError, match=r"no weights named module\.base_encoder"):
        read_published(file, "vit_tiny", 32)
    torch.save({"state_dict": Path("/")}, file)
    with pytest.raises(UserError, match="can't be read as a checkpoint"):
        read_published(file, "vit_tiny", 32)
