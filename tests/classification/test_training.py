"""Training learns what can be seen, ends early, goes on bit for bit after a kill, and can freeze its statistics."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cxrflow import training as loop
from cxrflow.classification import training
from cxrflow.classification.classifier import FrozenNorm, build_classifier, load_classifier
from cxrflow.classification.settings import DataSettings, NetworkSettings, TrainingSettings
from cxrflow.classification.training import TrainedFiles, TrainingChoice, train_classifier
from cxrflow.forgetting.predictions import read_classes, read_seed

NETWORK = NetworkSettings(widths=(16, 32))
CHOICE = TrainingChoice(
    DataSettings(image_size=64),
    NETWORK,
    TrainingSettings(epochs=6, patience=5, batch_size=16, learning_rate=3e-3, precision="fp32"),
    seed=3,
    threads=1,
)


def files(root) -> TrainedFiles:
    return TrainedFiles(root / "w.safetensors", root / "history.csv", root / "validation.parquet", root / "resume.pt")


@pytest.fixture(scope="module")
def trained(cohort, tmp_path_factory):
    made = files(tmp_path_factory.mktemp("trained"))
    train_classifier(cohort, made, CHOICE, [])
    return made


def test_the_validation_loss_falls_and_what_can_be_seen_is_learned(trained):
    history = pd.read_csv(trained.history)
    assert history["validation_loss"].iloc[-1] < history["validation_loss"].iloc[0]
    assert history["mean auroc"].max() > 0.6


def test_validation_predictions_are_those_of_the_kept_weights(trained, cohort):
    assert read_classes(trained.validation) == ("Mass", "Effusion", "Hernia")
    samples = cohort.samples(["Mass", "Effusion", "Hernia"], "zero")
    held_out = samples[samples["split"] == "validate"]
    written = read_seed([trained.validation], "l1", held_out["image_id"].tolist())
    network = load_classifier(NETWORK, 3, trained.weights)
    images = torch.from_numpy(cohort.store().images[held_out.index.to_numpy()]).unsqueeze(1).float() / 255
    with torch.no_grad():
        expected = torch.sigmoid(network(images)).numpy()
    assert written.seed == 3
    np.testing.assert_allclose(written.probabilities[0], expected, atol=1e-5)


def test_a_killed_training_ends_like_an_undisturbed_one(trained, cohort, tmp_path, monkeypatch):
    def killed(*arguments, epoch=[0]):  # noqa: B006
        epoch[0] += 1
        if epoch[0] == 4:
            raise KeyboardInterrupt
        return original(*arguments)

    original = loop._train_epoch
    made = files(tmp_path)
    monkeypatch.setattr(loop, "_train_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(cohort, made, CHOICE, [])
    assert made.resume.exists()
    assert not made.weights.exists()
    monkeypatch.setattr(loop, "_train_epoch", original)
    train_classifier(cohort, made, CHOICE, [])
    for name in ("weights", "history", "validation"):
        assert getattr(made, name).read_bytes() == getattr(trained, name).read_bytes(), name
    assert not made.resume.exists()


def test_training_ends_after_more_than_the_allowed_epochs_without_gain(cohort, tmp_path, monkeypatch):
    worse = iter(np.linspace(1, 2, 50))
    monkeypatch.setattr(training, "known_cross_entropy", lambda logits, truth: logits.sum() * 0 + next(worse))
    settings = CHOICE.training.model_copy(update={"epochs": 30, "patience": 2, "batch_size": 200})
    made = files(tmp_path)
    train_classifier(cohort, made, replace(CHOICE, training=settings), [])
    assert len(pd.read_csv(made.history)) == 4  # the best, and three more: patience is exceeded after the third


def test_another_seed_gives_another_network(trained, cohort, tmp_path):
    made = files(tmp_path)
    short = CHOICE.training.model_copy(update={"epochs": 1})
    train_classifier(cohort, made, replace(CHOICE, training=short, seed=4), [])
    assert made.weights.read_bytes() != trained.weights.read_bytes()


def test_frozen_statistics_stay_what_the_first_epoch_made_them():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16))
    frozen, images = FrozenNorm(network), torch.randn(4, 1, 8, 8)
    frozen.train()
    frozen(images)
    after_one = network[1].running_mean.clone()
    assert not torch.equal(after_one, torch.zeros(16))
    frozen.eval()
    frozen.train()
    frozen(images + 3)
    assert torch.equal(network[1].running_mean, after_one)
    assert int(network[1].num_batches_tracked) == 1


def test_statistics_go_on_by_default_and_stop_where_the_released_mistake_is_wanted(cohort, tmp_path):
    def batches(frozen: bool) -> int:
        settings = CHOICE.training.model_copy(update={"epochs": 2, "frozen_norm": frozen})
        made = files(tmp_path / str(frozen))
        made.weights.parent.mkdir()
        train_classifier(cohort, made, replace(CHOICE, training=settings), [])
        network = load_classifier(NETWORK, 3, made.weights)
        return max(int(m.num_batches_tracked) for m in network.modules() if isinstance(m, nn.BatchNorm2d))

    per_epoch = 6  # 96 training images, 16 a step
    assert batches(frozen=True) == per_epoch
    assert batches(frozen=False) in (per_epoch, 2 * per_epoch)  # that of the better epoch


def test_a_timm_network_has_one_output_per_class():
    network = build_classifier(NetworkSettings(name="resnet18"), 20).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 1, 64, 64)).shape == (2, 20)
