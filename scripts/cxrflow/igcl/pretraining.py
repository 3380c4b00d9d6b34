"""Pretrains the image and the graph encoder on pairs, and leaves what they make of the test split."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import write_arrays, write_table
from cxrflow.igcl.graph_batches import GraphReader
from cxrflow.igcl.graph_encoders import GraphEncoder
from cxrflow.igcl.image_encoders import build_image_encoder
from cxrflow.igcl.model import ImageGraphModel
from cxrflow.igcl.pairs import ImageGraphPairs, PairBatches, paired_samples, pairs_of
from cxrflow.igcl.settings import DataSettings, GraphEncoderSettings, ImageEncoderSettings, PretrainingSettings
from cxrflow.radiographs import in_order
from cxrflow.retrieval import mean_recall
from cxrflow.training import (
    Batch,
    Plan,
    Resume,
    fingerprint,
    fit,
    is_main_process,
    machine_facts,
    prepare_torch,
    this_device,
)
from cxrflow.weights import save_weights

logger = logging.getLogger(__name__)

RECALL = "recall"
_AT_ONCE = 64  # radiographs


@dataclass(frozen=True)
class PretrainingInputs:
    """What is learnt from: radiographs with reports, their graphs and vectors, and the backbone where one starts."""

    cohort: CohortFiles
    graphs: Path
    vectors: Path
    backbone: Path | None

    def files(self) -> list[Path]:
        """Return what identifies them; the description of the vectors stands for these."""
        own = [*self.cohort.tables(), self.graphs, self.vectors.with_suffix(".json")]
        return own if self.backbone is None else [*own, self.backbone]


@dataclass(frozen=True)
class PretrainedFiles:
    """What pretraining leaves: weights, history, vectors of the test split; and where its state is kept meanwhile."""

    weights: Path
    history: Path
    embeddings: Path
    resume: Path


@dataclass(frozen=True)
class PretrainingChoice:
    """All settings that decide what becomes of the encoders."""

    data: DataSettings
    image: ImageEncoderSettings
    graph: GraphEncoderSettings
    training: PretrainingSettings
    threads: int

    @classmethod
    def of(cls, params: Any, threads: int) -> "PretrainingChoice":
        """Return the choice that a rule's parameters make."""
        image, graph = (
            ImageEncoderSettings.model_validate(params.image),
            GraphEncoderSettings.model_validate(params.graph),
        )
        training = PretrainingSettings.model_validate(params.training)
        return cls(DataSettings.model_validate(params.data), image, graph, training, threads)

    def facts(self) -> dict:
        """Return them as plain types, with the arithmetic that this machine makes of `auto`."""
        parts = {"data": self.data, "image": self.image, "graph": self.graph, "training": self.training}
        plain = {name: part.model_dump(mode="json") for name, part in parts.items()}
        return {**plain, **machine_facts(self.threads, self.training.precision)}


def pretrain(inputs: PretrainingInputs, outputs: PretrainedFiles, choice: PretrainingChoice, code: list[str]) -> None:
    """Train on the train split, keep the epoch with the highest recall on the validate split, write what it leaves."""
    prepare_torch(choice.threads, choice.training.seed)
    reader = GraphReader.open(inputs.graphs, inputs.vectors)
    samples, store = inputs.cohort.samples([], "zero"), inputs.cohort.store()
    train, validate, test = (pairs_of(samples, split, store, reader.store) for split in ("train", "validate", "test"))
    logger.info("%d training, %d validation and %d test pairs", len(train), len(validate), len(test))
    model = build_model(choice, reader, inputs.backbone)
    resume = Resume(outputs.resume, fingerprint(choice.facts(), [*inputs.files(), *code]))
    history = _fit(model, train, validate, reader, choice.training, resume)
    if not is_main_process():
        return
    write_table(outputs.history, pd.DataFrame(history))
    images, graphs = embed(model, test, reader, choice.training.batch_size)
    ids = paired_samples(samples, "test", reader.store)["image_id"].to_numpy(dtype=np.str_)
    write_arrays(outputs.embeddings, [("image_ids", ids), ("images", images), ("graphs", graphs)])
    save_weights(model.cpu(), outputs.weights)
    resume.discard()


def build_model(choice: PretrainingChoice, reader: GraphReader, backbone: Path | None) -> ImageGraphModel:
    """Return both encoders before pretraining."""
    image = build_image_encoder(choice.image, choice.data.image_size, backbone)
    graph = GraphEncoder(reader.features.width, reader.store.relations, choice.graph)
    return ImageGraphModel(image, graph, choice.training.width)


def _fit(
    model: ImageGraphModel,
    train: ImageGraphPairs,
    validate: ImageGraphPairs,
    reader: GraphReader,
    settings: PretrainingSettings,
    resume: Resume,
) -> list[dict[str, float]]:
    """Return the history; `model` keeps its best weights."""

    def step(network: nn.Module, batch: Batch) -> Tensor:
        groups = batch["groups"] if settings.same_text_is_positive else torch.arange(len(batch["groups"]))
        graphs = read_graphs(reader, batch["graphs"])
        return network({**batch, **graphs, "groups": groups.to(batch["graphs"].device)})

    def measure(network: nn.Module) -> dict[str, float]:
        images, graphs = embed(model, validate, reader, settings.batch_size)
        return {RECALL: mean_recall(images, graphs, validate.groups.numpy()), "scale": float(model.scale())}

    optimiser = torch.optim.AdamW(parameter_groups(model, settings), fused=True)
    plan = Plan(
        settings.epochs,
        settings.seed,
        settings.precision,
        schedule=settings.schedule,
        select=RECALL,
        highest=True,
        patience=settings.patience,
        whole_batches=True,
    )
    batches = _batches(model, train, settings)
    return fit(model, optimiser, batches, step, measure, plan, resume).history


def _batches(model: ImageGraphModel, train: ImageGraphPairs, settings: PretrainingSettings) -> PairBatches:
    """Return the batches; what a frozen encoder makes of radiographs that do not change is computed once."""
    frozen = math.inf if settings.frozen_batches is None else settings.frozen_batches
    few = frozen < len(train) / settings.batch_size
    features = None if settings.augment or few else image_features(model.image.to(this_device()).eval(), train)
    return PairBatches(train, settings.batch_size, settings.seed, settings.augment, frozen, features)


def parameter_groups(model: ImageGraphModel, settings: PretrainingSettings) -> list[dict]:
    """Return AdamW's groups: the image encoder with its own rate, the temperature without decay, and all others."""
    image, scale = list(model.image.parameters()), model.logit_scale
    known = {id(parameter) for parameter in (*image, scale)}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in known]
    rate, decay = settings.learning_rate, settings.weight_decay
    return [
        {"params": image, "lr": rate * settings.image_rate, "weight_decay": decay},
        {"params": rest, "lr": rate, "weight_decay": decay},
        {"params": [scale], "lr": rate, "weight_decay": 0.0},
    ]


def read_graphs(reader: GraphReader, rows: Tensor) -> dict[str, Tensor]:
    """Return the graphs of some rows of the store as one batch, on the device of `rows`."""
    return {name: value.to(rows.device) for name, value in reader.batch(rows.cpu().numpy()).items()}


@torch.no_grad()
def image_features(encoder: nn.Module, pairs: ImageGraphPairs) -> Tensor:
    """Return (N, width): what an encoder in its present mode makes of all radiographs, in order."""
    device = this_device()
    return torch.cat([encoder(batch["images"].to(device)).float().cpu() for batch in in_order(pairs, _AT_ONCE)])


@torch.no_grad()
def embed(
    model: ImageGraphModel, pairs: ImageGraphPairs, reader: GraphReader, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return unit vectors of radiographs and of their graphs, (N, D) each, in order, by a model in its present mode."""
    device, images, graphs = model.logit_scale.device, [], []
    for batch in in_order(pairs, size):
        images.append(model.embed_images(batch["images"].to(device)).cpu().numpy())
        graphs.append(model.embed_graphs(read_graphs(reader, batch["graphs"].to(device))).cpu().numpy())
    return np.concatenate(images), np.concatenate(graphs)
