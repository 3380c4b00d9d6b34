"""Trains the classifier of one seed (PruneCXR, section 2: mean BCE, Adam, early stopping on the validation loss)."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cxrflow.augment import Augmentation
from cxrflow.classification.classifier import FrozenNorm, SmallClassifier, build_classifier
from cxrflow.classification.radiographs import LabelledRadiographs, class_names, split_radiographs
from cxrflow.classification.settings import DataSettings, NetworkSettings, TrainingSettings
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import write_table
from cxrflow.forgetting.predictions import DENSE, write_predictions
from cxrflow.losses import known_cross_entropy, start_at_frequencies
from cxrflow.radiographs import ShuffledBatches, in_order
from cxrflow.ranking import mean_auroc
from cxrflow.training import (
    Batch,
    Plan,
    Resume,
    fingerprint,
    fit,
    is_main_process,
    machine_facts,
    prepare_torch,
)
from cxrflow.weights import save_weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedFiles:
    """What training leaves, and where its state is kept while it runs."""

    weights: Path
    history: Path
    validation: Path
    resume: Path


@dataclass(frozen=True)
class TrainingChoice:
    """All settings that decide what one seed's classifier becomes."""

    data: DataSettings
    network: NetworkSettings
    training: TrainingSettings
    seed: int
    threads: int

    @classmethod
    def of(cls, params: Any, seed: int, threads: int) -> "TrainingChoice":
        """Return the choice that a rule's parameters make."""
        data, network = DataSettings.model_validate(params.data), NetworkSettings.model_validate(params.network)
        return cls(data, network, TrainingSettings.model_validate(params.training), seed, threads)

    def facts(self) -> dict:
        """Return them as plain types, with the arithmetic that this machine makes of `auto`."""
        parts = {"data": self.data, "network": self.network, "training": self.training}
        plain = {name: part.model_dump(mode="json") for name, part in parts.items()}
        del plain["training"]["seeds"]  # which other seeds are trained changes nothing for this one
        return {**plain, **machine_facts(self.threads, self.training.precision), "seed": self.seed}


def train_classifier(cohort: CohortFiles, outputs: TrainedFiles, choice: TrainingChoice, code: list[str]) -> None:
    """Train on the train split and write weights, history, and the best epoch's predictions on the validate split."""
    prepare_torch(choice.threads, choice.seed)
    classes = class_names(cohort, choice.data)
    samples = cohort.samples(classes, choice.data.uncertain)
    train, validate = (split_radiographs(cohort, samples, split, classes) for split in ("train", "validate"))
    network = build_classifier(choice.network, len(classes))
    if isinstance(network, SmallClassifier):
        start_at_frequencies(network.classifier.linear, train.labels)
    logger.info("%d training and %d validation radiographs, %d classes", len(train), len(validate), len(classes))
    resume = Resume(outputs.resume, fingerprint(choice.facts(), [*cohort.tables(), *code]))
    history, logits = _fit(network, train, validate, choice, resume)
    if not is_main_process():
        return
    write_table(outputs.history, pd.DataFrame(history))
    held_out = samples.loc[samples["split"] == "validate", "image_id"].tolist()
    with write_predictions(outputs.validation, classes) as table:
        table.append(DENSE, choice.seed, 0.0, held_out, _sigmoid(logits))
    save_weights(network.cpu(), outputs.weights)
    resume.discard()


def _fit(
    network: nn.Module,
    train: LabelledRadiographs,
    validate: LabelledRadiographs,
    choice: TrainingChoice,
    resume: Resume,
) -> tuple[list[dict[str, float]], NDArray[np.float32]]:
    """Return the history and the best epoch's logits (N, C) on the validate split; `network` keeps its weights."""
    settings = choice.training
    model = FrozenNorm(network) if settings.frozen_norm else network

    def step(wrapped: nn.Module, batch: Batch) -> Tensor:
        return known_cross_entropy(wrapped(batch["images"]), batch["labels"])

    def measure(wrapped: nn.Module) -> dict[str, float]:
        logits = predict_logits(wrapped, validate, settings.batch_size)
        loss = float(known_cross_entropy(torch.from_numpy(logits), validate.labels))
        return {"validation_loss": loss, "mean auroc": mean_auroc(validate.labels.numpy(), logits)}

    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    plan = Plan(
        settings.epochs,
        choice.seed,
        settings.precision,
        schedule=settings.schedule,
        patience=settings.patience,
    )
    how = Augmentation(rotation=settings.rotation, flip=settings.flip)
    batches = ShuffledBatches(train, settings.batch_size, choice.seed, how)
    progress = fit(model, optimiser, batches, step, measure, plan, resume)
    model.eval()
    return progress.history, predict_logits(model, validate, settings.batch_size)


@torch.no_grad()
def predict_logits(network: nn.Module, data: LabelledRadiographs, size: int) -> NDArray[np.float32]:
    """Return logits (N, C) of a network in its present mode, on the device it is on."""
    device = next(network.parameters()).device
    return np.concatenate([network(batch["images"].to(device)).float().cpu().numpy() for batch in in_order(data, size)])


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return torch.sigmoid(torch.from_numpy(logits)).numpy()
