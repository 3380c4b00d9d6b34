"""Classifiers learn what encoders show; a killed job keeps what is finished; losses as published."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tests.igcl.conftest import LABELS, SIZE, Cohort
from torch import nn

from cxrflow.errors import UserError
from cxrflow.igcl import transfer as jobs
from cxrflow.igcl.classifiers import LabelledFeatures, Projected, softmax_cross_entropy
from cxrflow.igcl.image_encoders import SmallEncoder, build_image_encoder
from cxrflow.igcl.initialisation import Source, TowerEncoder, encoder_of
from cxrflow.igcl.results import ResultFiles, write_results
from cxrflow.igcl.settings import DataSettings, ImageEncoderSettings
from cxrflow.igcl.transfer import TransferChoice, transfer
from cxrflow.igcl.transfer_settings import (
    EvaluationSettings,
    FinetuningSettings,
    InitialisationSettings,
    LinearSettings,
    TransferSettings,
)
from cxrflow.patchib.settings import TowerSettings
from cxrflow.patchib.small_towers import TowerFiles, write_untrained
from cxrflow.radiographs import ShuffledBatches
from cxrflow.towers import build_towers
from cxrflow.weights import save_weights

torch.set_num_threads(1)

IMAGE = ImageEncoderSettings(weights=None, widths=(16, 16))
TRANSFER = TransferSettings(
    labels=LABELS,
    linear=LinearSettings(epochs=6, fractions=(0.2, 1.0), shots=(2,), seeds=(0, 1)),
    finetuning=FinetuningSettings(epochs=10, fractions=(1.0,), seeds=(0,), learning_rate=3e-3, patience=None),
    precision="fp32",
)
CHOICE = TransferChoice(DataSettings(image_size=SIZE), IMAGE, TRANSFER, threads=1)
SCRATCH = Source(InitialisationSettings(weights=None))


class Pretrained(nn.Module):
    """The part of a pretrained model that classifiers start from."""

    def __init__(self, encoder: SmallEncoder) -> None:
        super().__init__()
        self.image, self.image_projection = encoder, nn.Linear(encoder.width, 5, bias=False)


@pytest.fixture(scope="module")
def predictions(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("transfer")
    transfer(cohort.images, SCRATCH, root / "scratch.parquet", root / "resume", CHOICE, [])
    assert not (root / "resume").exists()
    return root / "scratch.parquet"


def test_predictions_are_of_every_held_out_image_by_every_classifier(cohort: Cohort, predictions: Path) -> None:
    table = pd.read_parquet(predictions)
    runs = table.groupby(["mode", "fraction", "shots", "seed"], dropna=False)
    assert len(runs) == 2 * 2 + 2 + 1
    split = pd.read_parquet(cohort.files.split).set_index("image_id")["split"]
    held_out = set(split.index[split != "train"])
    assert all(set(rows["image_id"]) == held_out for _, rows in runs)
    assert (table["split"] == split[table["image_id"]].to_numpy()).all()
    assert set(table.loc[table["fraction"] == 1.0, "train_patients"]) == {30}
    assert set(table.loc[table["fraction"] == 0.2, "train_patients"]) == {6}


def test_fine_tuning_finds_what_is_plain_to_see(cohort: Cohort, predictions: Path) -> None:
    table = pd.read_parquet(predictions)
    rows = table[(table["mode"] == "finetuning") & (table["split"] == "validate")].set_index("image_id")
    truth = cohort.images.samples(list(LABELS), "zero").set_index("image_id").loc[rows.index]
    assert roc_auc_score(truth["Effusion"], rows["Effusion"]) > 0.8


def test_a_killed_job_keeps_finished_classifiers_and_ends_with_the_same_bytes(
    cohort: Cohort, predictions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    whole = jobs.train_classifier

    def counted(*arguments: object) -> None:
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append("one")
        whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "train_classifier", counted)
    output, resume = tmp_path / "p.parquet", tmp_path / "resume"
    with pytest.raises(KeyboardInterrupt):
        transfer(cohort.images, SCRATCH, output, resume, CHOICE, [])
    assert len([*resume.rglob("*.npz")]) == 3
    monkeypatch.setattr(jobs, "train_classifier", whole)
    transfer(cohort.images, SCRATCH, output, resume, CHOICE, [])
    assert output.read_bytes() == predictions.read_bytes()


def test_an_added_initialisation_changes_nothing_for_the_others() -> None:
    more = {"a": InitialisationSettings(weights=None), "b": InitialisationSettings(weights="hub")}
    other = replace(CHOICE, transfer=TRANSFER.model_copy(update={"initialisations": more}))
    assert other.facts() == CHOICE.facts()


def test_a_pretrained_encoder_is_read_with_or_without_its_projection(tmp_path: Path) -> None:
    built = build_image_encoder(IMAGE, SIZE)
    assert isinstance(built, SmallEncoder)
    model = Pretrained(built).eval()
    save_weights(model, tmp_path / "w.safetensors")
    source = Source(InitialisationSettings(weights="pretrained"), tmp_path / "w.safetensors")
    images = torch.rand(3, 1, SIZE, SIZE)
    pooled, projected = (encoder_of(source, IMAGE, SIZE, features).eval() for features in ("pooled", "projected"))
    torch.testing.assert_close(pooled(images), model.image(images))
    torch.testing.assert_close(projected(images), model.image_projection(model.image(images)))
    assert isinstance(projected, Projected)
    assert projected.width == 5
    with pytest.raises(UserError, match="does not fit"):
        encoder_of(source, IMAGE.model_copy(update={"widths": (16, 32)}), SIZE, "pooled")


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small towers of patchib, without weights."""
    folder = tmp_path_factory.mktemp("towers")
    names = {field.name: folder / f"{field.name}.json" for field in fields(TowerFiles)}
    names |= {"config": folder / "open_clip_config.json", "bert": folder / "config.json"}
    small = {"image_tower": "vit_stem_tiny_64", "text_width": 32, "text_layers": 1, "text_heads": 2, "embedding": 24}
    settings = TowerSettings.model_validate({"context_length": 16, "small": {**small, "vocabulary": 128}})
    write_untrained(TowerFiles(**names), ["the heart is large", "no effusion"], settings)
    return folder


def test_the_image_tower_of_a_model_of_patchib_is_read_with_or_without_its_projection(
    towers: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    whole = build_towers(str(towers), SIZE, weights=False)
    model = nn.ModuleDict({"towers": whole, "scorer": nn.Linear(3, 1)}).eval()
    save_weights(model, tmp_path / "A_0.safetensors")
    source = Source(InitialisationSettings(weights="patchib"), tmp_path / "A_0.safetensors", str(towers))
    images = torch.rand(2, 1, SIZE, SIZE)
    pooled, projected = (encoder_of(source, IMAGE, SIZE, features).eval() for features in ("pooled", "projected"))
    assert isinstance(projected, TowerEncoder)
    assert (pooled.width, projected.width) == (whole.width, 24)
    torch.testing.assert_close(pooled(images), whole.last_tokens(images)[:, 0])
    torch.testing.assert_close(nn.functional.normalize(projected(images)), whole.embed(pooled(images)))


def test_an_initialisation_may_bring_a_network_of_its_own(tmp_path: Path) -> None:
    about = InitialisationSettings(weights=None, network="resnet10t")
    encoder = encoder_of(Source(about), IMAGE, SIZE, "projected")
    save_weights(encoder.body, tmp_path / "moco.safetensors")  # type: ignore[arg-type]
    named = about.model_copy(update={"weights": str(tmp_path / "moco.safetensors")})
    again = encoder_of(Source(named), IMAGE, SIZE, "projected")
    images = torch.rand(2, 1, SIZE, SIZE)
    torch.testing.assert_close(again.eval()(images), encoder.eval()(images))
    assert Source(named).files() == [tmp_path / "moco.safetensors"]


def test_the_released_loss_is_a_cross_entropy_over_labels_that_compete() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    truth = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, float("nan")]])
    share = np.exp([2.0, 0.0, -1.0]) / np.exp([2.0, 0.0, -1.0]).sum()
    expected = -(np.log(share[0]) + np.log(share[1])) / 2
    assert float(softmax_cross_entropy(logits, truth)) == pytest.approx(expected)


def test_batches_hold_the_labelled_examples_alone_each_once() -> None:
    data = LabelledFeatures(torch.arange(40.0)[:, None], torch.zeros(40, 2))
    places = np.arange(5, 30)
    batches = ShuffledBatches(data, 8, 1, None, places)
    first, again, second = (
        torch.cat([batch["images"] for batch in batches.epoch(number)])[:, 0].int().tolist() for number in (0, 0, 1)
    )
    assert first == again != second
    assert sorted(first) == sorted(second) == places.tolist()
    assert len(batches) == 4


def test_results_are_written_as_tables_and_as_json(cohort: Cohort, predictions: Path, tmp_path: Path) -> None:
    outputs = ResultFiles(tmp_path / "metrics.csv", tmp_path / "differences.csv", tmp_path / "summary.json")
    about = {"cohort": "c", "simulated": True}
    both = {"one": predictions, "other": predictions}
    write_results(outputs, both, cohort.images, about, TRANSFER, EvaluationSettings(resamples=50))
    table = pd.read_csv(outputs.metrics)
    assert set(table["n_patients"]) == {10}
    pd.testing.assert_frame_equal(table, pd.read_parquet(outputs.metrics.with_suffix(".parquet")), check_dtype=False)
    assert "NaN" not in outputs.summary.read_text()
