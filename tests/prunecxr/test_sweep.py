"""The sweep predicts what a network pruned by torch predicts, and goes on after a kill."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.classification.test_training import CHOICE, NETWORK, files
from torch import nn
from torch.nn.utils import prune

from cxrflow.classification.classifier import load_classifier
from cxrflow.classification.training import train_classifier
from cxrflow.forgetting.predictions import read_seed
from cxrflow.prunecxr import sweep as module
from cxrflow.prunecxr.settings import SweepSettings, chunk_of
from cxrflow.prunecxr.storage import magnitude_table, storage_table
from cxrflow.prunecxr.sweep import SweepChoice, SweepFiles, sweep

SHARES = (0.0, 0.3, 0.6, 0.9)
SWEEP = SweepChoice(CHOICE.data, NETWORK, SweepSettings(sparsities=SHARES, batch_size=20), seed=3, chunk=0)


@pytest.fixture(scope="module")
def weights(cohort, tmp_path_factory):
    made = files(tmp_path_factory.mktemp("weights"))
    train_classifier(cohort, made, replace(CHOICE, training=CHOICE.training.model_copy(update={"epochs": 2})), [])
    return made.weights


def outputs(root, weights) -> SweepFiles:
    return SweepFiles(weights, root / "predictions.parquet", root / "speed.json", root / "waiting")


@pytest.fixture(scope="module")
def swept(cohort, weights, tmp_path_factory):
    made = outputs(tmp_path_factory.mktemp("swept"), weights)
    sweep(cohort, made, SWEEP, 1)
    return made


def held_out(cohort):
    samples = cohort.samples([], "zero")
    test = samples[samples["split"] == "test"]
    return test["image_id"].tolist(), cohort.store().images[test.index.to_numpy()]


def test_probabilities_are_those_of_a_network_that_torch_pruned(swept, cohort, weights):
    ids, pixels = held_out(cohort)
    read = read_seed([swept.predictions], "l1", ids)
    assert read.levels.tolist() == list(SHARES)
    images = torch.from_numpy(pixels).unsqueeze(1).float() / 255
    for share, probabilities in zip(SHARES, read.probabilities, strict=True):
        network = load_classifier(NETWORK, 3, weights).to(memory_format=torch.contiguous_format)
        layers = [(layer, "weight") for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=share)
        with torch.no_grad():
            expected = torch.sigmoid(network(images)).numpy()
        np.testing.assert_allclose(probabilities, expected, atol=2e-6)


def test_controls_share_the_unpruned_network_and_differ_beyond_it(swept, cohort):
    ids, _ = held_out(cohort)
    read = {way: read_seed([swept.predictions], way, ids) for way in ("l1", "random", "layerwise")}
    for way in ("random", "layerwise"):
        assert np.array_equal(read[way].probabilities[0], read["l1"].probabilities[0])
        assert not np.array_equal(read[way].probabilities[2], read["l1"].probabilities[2])


def test_a_killed_sweep_goes_on_after_its_last_sparsity(swept, cohort, weights, tmp_path, monkeypatch):
    original, done = module._probabilities, []

    def killed(*arguments):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(1)
        return original(*arguments)

    made = outputs(tmp_path, weights)
    monkeypatch.setattr(module, "_probabilities", killed)
    with pytest.raises(KeyboardInterrupt):
        sweep(cohort, made, SWEEP, 1)
    assert not made.predictions.exists()
    assert len(list(made.waiting.glob("*.npy"))) == 5
    done.clear()
    monkeypatch.setattr(module, "_probabilities", lambda *arguments: done.append(1) or original(*arguments))
    sweep(cohort, made, SWEEP, 1)
    assert len(done) == 1 + 3 * 3 - 5
    assert made.predictions.read_bytes() == swept.predictions.read_bytes()
    assert not made.waiting.exists()


def test_what_waits_for_another_network_is_not_taken(cohort, weights, swept, tmp_path):
    made = outputs(tmp_path, weights)
    made.waiting.mkdir()
    (made.waiting / "sweep.json").write_text(json.dumps({"fingerprint": "another"}))
    np.save(made.waiting / "dense_0.npy", np.zeros((32, 3), dtype=np.float32))
    sweep(cohort, made, SWEEP, 1)
    assert made.predictions.read_bytes() == swept.predictions.read_bytes()


def test_chunks_hold_every_sparsity_once_and_together_are_the_whole_sweep(swept, cohort, weights, tmp_path):
    assert [chunk_of(SHARES, chunk, 3) for chunk in range(3)] == [(0.0,), (0.3,), (0.6, 0.9)]
    made = []
    for chunk in range(3):
        settings = SWEEP.sweep.model_copy(update={"chunks": 3})
        one = outputs(tmp_path / str(chunk), weights)
        one.predictions.parent.mkdir()
        sweep(cohort, one, replace(SWEEP, sweep=settings, chunk=chunk), 1)
        made.append(one.predictions)
    ids, _ = held_out(cohort)
    for way in ("l1", "random", "layerwise"):
        whole, spread = read_seed([swept.predictions], way, ids), read_seed(made, way, ids)
        assert np.array_equal(whole.levels, spread.levels)
        assert np.array_equal(whole.probabilities, spread.probabilities)


def test_speeds_are_told_for_every_pass(swept):
    told = json.loads(swept.speed.read_text())
    assert [(one["model"], one["sparsity"]) for one in told[:2]] == [("dense", 0.0), ("l1", 0.3)]
    assert all(one["images_per_second"] > 0 for one in told)


def test_dense_bytes_stay_and_sparse_formats_pay_only_when_enough_is_gone(weights):
    table = storage_table(NETWORK, 3, weights, (0.0, 0.5, 0.9), ("l1", "layerwise"))
    wide = table.pivot_table(index=["method", "sparsity"], columns="quantity", values="value")
    assert wide["dense_bytes"].nunique() == 1
    l1 = wide.loc["l1"]
    assert l1.loc[0.9, "zeros"] == round(0.9 * l1.loc[0.9, "weights"])
    assert l1.loc[0.0, "index_bytes"] > l1.loc[0.0, "dense_bytes"] > l1.loc[0.9, "index_bytes"]
    assert l1.loc[0.9, "bitmap_bytes"] < 0.25 * l1.loc[0.9, "dense_bytes"]


def test_every_prunable_weight_is_in_the_histogram(weights):
    network = load_classifier(NETWORK, 3, weights)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    table = magnitude_table(NETWORK, 3, weights)
    assert table["count"].sum() == sum(layer.weight.numel() for layer in layers)
    assert (table["low"] < table["high"]).all()
