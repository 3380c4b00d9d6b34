"""Pairs find each other after training, a frozen encoder stays as it was, and a killed training goes on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score
from tests.igcl.conftest import LABELS, SIZE, Cohort

from cxrflow import training as loop
from cxrflow.errors import UserError
from cxrflow.igcl.graph_batches import GraphReader
from cxrflow.igcl.graph_settings import GraphEncoderSettings
from cxrflow.igcl.image_encoders import TimmEncoder, build_image_encoder, parts
from cxrflow.igcl.pairs import PairBatches, pairs_of
from cxrflow.igcl.pretraining import (
    PretrainedFiles,
    PretrainingChoice,
    PretrainingInputs,
    build_model,
    embed,
    parameter_groups,
    pretrain,
    read_graphs,
)
from cxrflow.igcl.retrieval_measures import TO_GRAPH, TO_IMAGE, Embeddings, retrieval_table
from cxrflow.igcl.settings import DataSettings, ImageEncoderSettings, PretrainingSettings
from cxrflow.igcl.transfer_settings import EvaluationSettings
from cxrflow.networks import pooled

torch.set_num_threads(1)

TRAINING = PretrainingSettings(
    epochs=20,
    batch_size=20,
    learning_rate=3e-3,
    frozen_batches=0,
    image_rate=1.0,
    width=16,
    patience=None,
    precision="fp32",
)
CHOICE = PretrainingChoice(
    DataSettings(image_size=SIZE),
    ImageEncoderSettings(weights=None, widths=(16, 16)),
    GraphEncoderSettings(width=16, fc_layers=1, dropout=0.0),
    TRAINING,
    threads=1,
)


def inputs(cohort: Cohort) -> PretrainingInputs:
    return PretrainingInputs(cohort.files, cohort.graphs, cohort.vectors, None)


def files(root: Path) -> PretrainedFiles:
    return PretrainedFiles(*(root / name for name in ("w.safetensors", "history.csv", "embeddings.npz", "state.pt")))


def changed(**training: Any) -> PretrainingChoice:
    return replace(CHOICE, training=TRAINING.model_copy(update=training))


@pytest.fixture(scope="module")
def trained(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> PretrainedFiles:
    made = files(tmp_path_factory.mktemp("trained"))
    pretrain(inputs(cohort), made, CHOICE, [])
    return made


def test_radiographs_are_nearest_to_graphs_of_their_findings(cohort: Cohort, trained: PretrainedFiles) -> None:
    history = pd.read_csv(trained.history)
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    found = Embeddings.read(trained.embeddings, cohort.files)
    findings = cohort.images.samples(list(LABELS), "zero").set_index("image_id").loc[found.samples["image_id"]]
    same = (findings.to_numpy()[:, None, -3:] == findings.to_numpy()[None, :, -3:]).all(axis=2)
    similarity = found.images @ found.graphs.T
    assert roc_auc_score(same.ravel(), similarity.ravel()) > 0.7


def test_retrieval_is_told_in_both_directions_with_chance(cohort: Cohort, trained: PretrainedFiles) -> None:
    found = Embeddings.read(trained.embeddings, cohort.files)
    table = retrieval_table(found, {"cohort": "c", "simulated": True}, EvaluationSettings(resamples=100))
    assert set(table["direction"]) == {TO_GRAPH, TO_IMAGE}
    chance = table[table["metric"] == "recall@5"].set_index("direction")["chance"]
    assert chance[TO_GRAPH] == pytest.approx(5 / 9)
    assert chance[TO_IMAGE] == pytest.approx(1 - (13 * 12) / (18 * 17)), "one of two radiographs among five of 18"
    assert (table["n_patients"] == 9).all(), "ten test patients, of whom one has a report without entities"


def test_vectors_are_of_unit_length_and_of_the_best_epoch(cohort: Cohort, trained: PretrainedFiles) -> None:
    with np.load(trained.embeddings, allow_pickle=False) as arrays:
        images, graphs = arrays["images"], arrays["graphs"]
    assert np.linalg.norm(images, axis=1) == pytest.approx(1, abs=1e-5)
    reader = GraphReader.open(cohort.graphs, cohort.vectors)
    model = build_model(CHOICE, reader, None).eval()
    model.load_state_dict(load_file(trained.weights))
    samples, store = cohort.files.samples([], "zero"), cohort.files.store()
    again = embed(model, pairs_of(samples, "test", store, reader.store), reader, 7)
    np.testing.assert_allclose(again[0], images, atol=1e-5)
    np.testing.assert_allclose(again[1], graphs, atol=1e-5)


@pytest.mark.parametrize("augment", [False, True])
def test_an_encoder_that_is_frozen_throughout_stays_as_it_was(cohort: Cohort, tmp_path: Path, augment: bool) -> None:
    made = files(tmp_path)
    pretrain(inputs(cohort), made, changed(frozen_batches=None, epochs=1, augment=augment), [])
    loop.prepare_torch(1, TRAINING.seed)
    before = build_model(CHOICE, GraphReader.open(cohort.graphs, cohort.vectors), None).state_dict()
    after = load_file(made.weights)
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("image."))
    assert not torch.equal(before["image_projection.weight"], after["image_projection.weight"])


def test_features_of_a_frozen_encoder_give_the_loss_of_its_images(cohort: Cohort) -> None:
    reader = GraphReader.open(cohort.graphs, cohort.vectors)
    pairs = pairs_of(cohort.files.samples([], "zero"), "train", cohort.files.store(), reader.store)
    model = build_model(CHOICE, reader, None).eval()
    images = next(iter(PairBatches(pairs, 12, 0, False, frozen=1).epoch(0)))
    with torch.no_grad():
        features = {**images, "features": model.image(images["images"])}
        graphs = read_graphs(reader, images["graphs"])
        one, other = (model({**batch, **graphs}) for batch in (images, features))
    assert float(one) == pytest.approx(float(other))


def test_only_the_first_batches_are_frozen_and_each_epoch_sees_every_pair(cohort: Cohort) -> None:
    reader = GraphReader.open(cohort.graphs, cohort.vectors)
    pairs = pairs_of(cohort.files.samples([], "zero"), "train", cohort.files.store(), reader.store)
    batches = PairBatches(pairs, 16, 0, False, frozen=len(pairs) // 16 + 2, features=torch.zeros(len(pairs), 3))
    first, second = ([*batches.epoch(number)] for number in (0, 1))
    assert len(first) == len(batches)
    assert all("features" in batch for batch in first)
    assert ["features" in batch for batch in second].count(True) == len(pairs) // 16 + 2 - len(batches)
    seen = torch.cat([batch["graphs"] for batch in first])
    assert sorted(seen.tolist()) == sorted(pairs.graphs.tolist())


def test_radiographs_of_one_study_belong_together(cohort: Cohort) -> None:
    reader, samples = GraphReader.open(cohort.graphs, cohort.vectors), cohort.files.samples([], "zero")
    pairs = pairs_of(samples, "train", cohort.files.store(), reader.store)
    studies = samples.loc[samples["split"] == "train", "study_id"].to_numpy()
    groups = pairs.groups.numpy()
    assert ((groups[:, None] == groups) == (studies[:, None] == studies)).all()


def test_a_killed_training_ends_like_an_undisturbed_one(
    cohort: Cohort, trained: PretrainedFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = loop._train_epoch, {"epochs": 0}

    def killed(*arguments: Any) -> float:
        calls["epochs"] += 1
        if calls["epochs"] == 4:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(loop, "_train_epoch", killed)
    made = files(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        pretrain(inputs(cohort), made, CHOICE, [])
    assert made.resume.exists()
    monkeypatch.setattr(loop, "_train_epoch", whole)
    pretrain(inputs(cohort), made, CHOICE, [])
    assert made.weights.read_bytes() == trained.weights.read_bytes()
    assert made.embeddings.read_bytes() == trained.embeddings.read_bytes()
    assert not made.resume.exists()


def test_every_weight_learns_in_one_group_and_the_temperature_does_not_decay(cohort: Cohort) -> None:
    model = build_model(CHOICE, GraphReader.open(cohort.graphs, cohort.vectors), None)
    groups = parameter_groups(model, TRAINING)
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())
    assert [group["weight_decay"] for group in groups if model.logit_scale in set(group["params"])] == [0.0]


def test_the_temperature_has_a_limit(cohort: Cohort) -> None:
    model = build_model(CHOICE, GraphReader.open(cohort.graphs, cohort.vectors), None)
    assert model.scale().item() == pytest.approx(1 / 0.07)
    torch.nn.init.constant_(model.logit_scale, 9.0)
    assert model.scale().item() == pytest.approx(100)


def test_the_left_lung_is_told_from_the_right_one() -> None:
    left = torch.zeros(1, 6, 6, 2)
    left[:, 4, 0, 0] = 1
    right = left.flip(2)
    whole = [pooled(maps.flatten(1, 2)) for maps in (left, right)]
    torch.testing.assert_close(*whole)
    found = [torch.stack([pooled(part) for part in parts(maps.flatten(1, 2), 3)]) for maps in (left, right)]
    assert [int(maxima[:, 0, 2].argmax()) for maxima in found] == [6, 8], "bottom row, first and last column"
    assert [float(means[:, 0, 0].max()) for means in found] == [0.25, 0.25], "one of four places"


@given(st.integers(1, 9), st.integers(1, 4))
def test_every_place_is_in_one_part(side: int, grid: int) -> None:
    places = torch.arange(side**2).view(1, -1, 1)
    found = parts(places, grid)
    if grid == 1:
        assert found == []
    else:
        assert sorted(torch.cat(found, dim=1).flatten().tolist()) == list(range(side**2))


def test_a_grid_finer_than_the_places_is_an_error_with_a_hint() -> None:
    settings = ImageEncoderSettings(weights=None, widths=(16, 16), grid=3)
    assert build_image_encoder(settings, 48).width == 2 * 16 * 10
    with pytest.raises(UserError, match=r"grid is 3.* 2 by 2 places[\s\S]*Hint: "):
        build_image_encoder(settings, 32)


def test_the_published_image_encoder_has_features_of_768() -> None:
    settings = ImageEncoderSettings(name="vit_base_patch32_clip_224.openai", weights=None)
    encoder = build_image_encoder(settings, 224)
    assert encoder.width == 768
    assert isinstance(encoder, TimmEncoder)
    assert encoder.normalise.mean.flatten()[0].item() == pytest.approx(0.48145466), "CLIP's own constants"
