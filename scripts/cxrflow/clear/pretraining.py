"""Pretrains an encoder of CT slices without labels, and leaves it with the checkpoints on the way."""

import logging
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from cxrflow.clear.architectures import SliceEncoder, build
from cxrflow.clear.encoder_files import fill, read_encoder, write_encoder
from cxrflow.clear.moco import MomentumContrast, momentum_of
from cxrflow.clear.pretraining_settings import (
    AugmentationSettings,
    DataSettings,
    PretrainingSettings,
    VariantSettings,
    checkpoint_name,
)
from cxrflow.clear.published import read_published
from cxrflow.clear.views import SliceData, ViewBatches, two_views
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.errors import UserError
from cxrflow.files import atomic_path, write_table
from cxrflow.memory import keep_freed_memory
from cxrflow.training import (
    Batch,
    Plan,
    Progress,
    Resume,
    fingerprint,
    fit,
    is_main_process,
    machine_facts,
    prepare_torch,
    process_count,
    this_device,
)

logger = logging.getLogger(__name__)

LOSS = "validation_loss"


@dataclass(frozen=True)
class PretrainedFiles:
    """What pretraining leaves: weights, history, a folder of checkpoints; and where its state is kept meanwhile."""

    weights: Path
    history: Path
    checkpoints: Path
    resume: Path


@dataclass(frozen=True)
class PretrainingChoice:
    """All settings that decide what becomes of an encoder."""

    data: DataSettings
    augmentation: AugmentationSettings
    training: PretrainingSettings
    variant: VariantSettings
    seed: int
    threads: int

    @classmethod
    def of(cls, params: Any, seed: int, threads: int) -> "PretrainingChoice":
        """Return the choice that a rule's parameters make."""
        data, augmentation = (
            DataSettings.model_validate(params.data),
            AugmentationSettings.model_validate(params.augmentation),
        )
        training, variant = (
            PretrainingSettings.model_validate(params.training),
            VariantSettings.model_validate(params.variant),
        )
        return cls(data, augmentation, training, variant, seed, threads)

    def facts(self) -> dict:
        """Return them as plain types, with the arithmetic that this machine makes of `auto`."""
        names = ("data", "augmentation", "training", "variant")
        plain = {name: getattr(self, name).model_dump(mode="json") for name in names}
        return {**plain, **machine_facts(self.threads, self.training.precision), "seed": self.seed}


def pretrain(cohort: CohortFiles, outputs: PretrainedFiles, choice: PretrainingChoice, code: list[str]) -> None:
    """Train on the slices of the train split without their labels, write the encoder, its history and checkpoints."""
    keep_freed_memory()
    prepare_torch(choice.threads, choice.seed)
    samples, store = cohort.samples([], "zero"), cohort.store()
    train, validate = (slices_of(samples, split, store, choice) for split in ("train", "validate"))
    logger.info("%d slices to learn from, %d to watch", len(train.data), len(validate.data))
    model = contrast_of(choice, choice.training.epochs * len(train))
    start = [choice.training.start] if choice.training.start else []
    resume = Resume(outputs.resume, fingerprint(choice.facts(), [*cohort.tables(), *start, *code]))
    waiting = outputs.resume.parent / f"{outputs.resume.stem}_checkpoints"
    progress = _fit(model, train, validate, choice, resume, waiting)
    if not is_main_process():
        return
    write_table(outputs.history, pd.DataFrame(progress.history))
    _write(model, outputs.weights, choice)
    _hand_over(waiting, outputs.checkpoints, choice, progress.finished)
    kept = checkpoint_name(choice.training, choice.variant, progress.best_epoch + 1)
    _write(model, outputs.checkpoints / kept, choice)
    resume.discard()
    shutil.rmtree(waiting, ignore_errors=True)


def slices_of(samples: pd.DataFrame, split: str, store: Any, choice: PretrainingChoice) -> ViewBatches:
    """Return the batches of one split; one without slices is an error."""
    chosen = samples[samples["split"] == split]
    if chosen.empty:
        raise UserError(f"The {split} split has no slices.", "compare cohort/split.parquet with the manifest.")
    training = choice.training
    data = SliceData.of(chosen, store)
    return ViewBatches(data, training.batch_size, choice.seed, choice.variant.sampling, training.crop_min)


def contrast_of(choice: PretrainingChoice, updates: int) -> MomentumContrast:
    """Return the model before pretraining, with the weights that it starts from."""
    training, numbers = choice.training, choice.training.numbers
    encoder = build(training.architecture, choice.data.image_size)
    if training.start:
        fill(encoder.network, _start(training, choice.data.image_size).network.state_dict(), Path(training.start))
    if training.rest_patches:
        from cxrflow.clear.vit import rest_patches  # with timm, whose import costs seconds

        rest_patches(encoder.network)
    momentum = partial(momentum_of, updates=updates, first=numbers.momentum, schedule=numbers.momentum_schedule)
    weight = choice.variant.sample_weight
    model = MomentumContrast(encoder, training.hidden, training.width, numbers.temperature, weight, momentum)
    several = process_count() > 1 and torch.cuda.is_available()
    return nn.SyncBatchNorm.convert_sync_batchnorm(model) if several else model


def _start(training: PretrainingSettings, image_size: int) -> SliceEncoder:
    path = Path(str(training.start))
    if path.suffix == ".safetensors":
        return read_encoder(path)
    return read_published(path, training.architecture, image_size)


def _fit(
    model: MomentumContrast,
    train: ViewBatches,
    validate: ViewBatches,
    choice: PretrainingChoice,
    resume: Resume,
    waiting: Path,
) -> Progress:
    """Return what is reached; checkpoints wait in a folder of their own, from which no kill takes them away."""
    training, every = choice.training, choice.training.checkpoint_every

    def step(network: nn.Module, batch: Batch) -> Tensor:
        return network(*two_views(batch, choice.data.image_size, choice.augmentation), batch["lesions"])

    def measure(network: nn.Module) -> dict[str, float]:
        epochs = model.updates // len(train)
        if every and epochs % every == 0 and is_main_process():
            _write(model, waiting / checkpoint_name(training, choice.variant, epochs), choice)
        return watched(model, validate, choice)

    numbers, batch = training.numbers, min(training.batch_size, len(train.data))
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate = numbers.learning_rate * batch / 256
    optimiser = torch.optim.AdamW(learning, lr=rate, weight_decay=numbers.weight_decay, fused=True)
    plan = Plan(
        training.epochs,
        choice.seed,
        training.precision,
        schedule="cosine",
        warmup=training.warmup_epochs / training.epochs,
        select="epoch" if training.patience is None else LOSS,
        highest=training.patience is None,
        patience=training.patience,
    )
    return fit(model, optimiser, train, step, measure, plan, resume)


@torch.no_grad()
def watched(model: MomentumContrast, slices: ViewBatches, choice: PretrainingChoice) -> dict[str, float]:
    """Return the loss on the first epoch's views of some slices, and the spread of their features.

    The spread is the mean standard deviation of the entries of unit vectors, times the root of their number: near 1
    where they point everywhere, near 0 where all slices have become the same.
    """
    device, losses, features = this_device(), [], []
    for batch in slices.epoch(0):
        moved = {name: value.to(device) for name, value in batch.items()}
        first, second = two_views(moved, choice.data.image_size, choice.augmentation)
        losses.append(float(model(first, second, moved["lesions"])))
        features.append(nn.functional.normalize(model.encoder(first).float(), dim=1).cpu())
    found = torch.cat(features)
    return {LOSS: float(np.mean(losses)), "spread": float(found.std(dim=0).mean() * found.shape[1] ** 0.5)}


def _write(model: MomentumContrast, path: Path, choice: PretrainingChoice) -> None:
    mode = choice.variant.mode
    write_encoder(path, model.encoder, choice.training.architecture, choice.data.image_size, mode)


def _hand_over(waiting: Path, folder: Path, choice: PretrainingChoice, epochs: int) -> None:
    """Copy the checkpoints of this run, which wait in another folder, into their own."""
    folder.mkdir(parents=True, exist_ok=True)
    every = choice.training.checkpoint_every or epochs + 1
    for done in range(every, epochs + 1, every):
        name = checkpoint_name(choice.training, choice.variant, done)
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(waiting / name, temporary)
