"""Trains one model with one seed: first what is new, with both towers frozen, then everything."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import write_table
from cxrflow.patchib.master_lines import read_master
from cxrflow.patchib.model import PatchModel
from cxrflow.patchib.optimisation import all_parameters, head_parameters, optimiser_of
from cxrflow.patchib.pairs import PairBatches, Pairs, pairs_of
from cxrflow.patchib.settings import ModelSettings, TrainingSettings
from cxrflow.patchib.validation import SELECTED, Validation
from cxrflow.towers import WordPieces, build_tokenizer, build_towers
from cxrflow.training import (
    Batch,
    Plan,
    Resume,
    fingerprint,
    fit,
    is_main_process,
    machine_facts,
    prepare_torch,
    rate_factor,
)
from cxrflow.weights import load_weights, save_weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFiles:
    """What training leaves, and the folder in which its state is kept while it runs."""

    weights: Path
    history: Path
    resume: Path


@dataclass(frozen=True, eq=False)
class ModelChoice:
    """Which model, with which seed, from which towers (folder or hub name), and all that decides what it becomes."""

    name: str
    seed: int
    towers: str
    image_size: int
    context_length: int
    model: ModelSettings
    training: TrainingSettings
    threads: int

    @classmethod
    def of(cls, name: str, seed: int, params: Any, threads: int) -> "ModelChoice":
        """Return the choice that a rule's parameters make."""
        model, training = ModelSettings.model_validate(params.model), TrainingSettings.model_validate(params.training)
        return cls(name, seed, params.towers, params.image_size, params.context_length, model, training, threads)

    @property
    def all_epochs(self) -> int:
        """Epochs of all phases."""
        return 1 if self.model.frozen else self.training.epochs_heads + self.training.epochs

    def facts(self) -> dict:
        """Return them as plain types, with the arithmetic that this machine makes of `auto`."""
        model = self.model.model_dump(mode="json")
        del model["seeds"]  # which other seeds are trained changes nothing for this one
        plain = {"model": model, "training": self.training.model_dump(mode="json")}
        towers = {"towers": self.towers, "image_size": self.image_size, "context_length": self.context_length}
        machine = machine_facts(self.threads, self.training.precision)
        return {**plain, **towers, **machine, "seed": self.seed}


@dataclass(frozen=True)
class Phase:
    """A part of the training: its name, epochs before it and in it, peak learning rate, and what learns."""

    name: str
    done: int
    epochs: int
    rate: float
    learning: list[str]


def build_model(choice: ModelChoice, weights: bool = True) -> tuple[PatchModel, WordPieces]:
    """Return the untrained model on its towers (with or without their weights), and the tokenizer."""
    towers = build_towers(choice.towers, choice.image_size, weights)
    words = build_tokenizer(choice.towers, choice.context_length)
    torch.manual_seed(choice.seed)
    return PatchModel(towers, choice.model, words.marks), words


def load_model(choice: ModelChoice, weights: Path) -> tuple[PatchModel, WordPieces]:
    """Return the model with the weights that its training left, ready to be evaluated."""
    model, words = build_model(choice, weights=False)
    load_weights(model, weights)
    return model.eval(), words


def train_model(cohort: CohortFiles, master: Path, outputs: ModelFiles, choice: ModelChoice, code: list[str]) -> None:
    """Train on the train split, keep the best epoch by the validate split, write weights and history."""
    prepare_torch(choice.threads, choice.seed)
    model, words = build_model(choice)
    table, store = read_master(master), cohort.store()
    train, validate = (pairs_of(table, split, store, words) for split in ("train", "validate"))
    logger.info("model %s: %d training and %d validation pairs", choice.name, len(train), len(validate))
    inputs: list[Path | str] = [master, cohort.index, *code]
    facts = fingerprint(choice.facts(), inputs)
    validation = Validation(train, validate, choice.training)
    parts = phases(model, choice.training)
    states = [Resume(outputs.resume / f"{phase.name}.pt", facts) for phase in parts]
    history = [_fit(model, train, validation, *part, choice) for part in zip(parts, states, strict=True)]
    if not is_main_process():
        return
    write_table(outputs.history, pd.concat(history, ignore_index=True))
    save_weights(model.cpu(), outputs.weights)
    for resume in states:
        resume.discard()


def phases(model: PatchModel, settings: TrainingSettings) -> list[Phase]:
    """Return the parts of the training; a frozen model learns its temperature in one pass, which changes no ranking."""
    heads = Phase("heads", 0, settings.epochs_heads, settings.learning_rate_heads, head_parameters(model))
    if model.settings.frozen:
        return [replace(heads, epochs=1)]
    whole = Phase(
        "all",
        heads.epochs,
        settings.epochs,
        settings.learning_rate,
        all_parameters(model, settings.frozen_patch_embedding),
    )
    return [heads, whole] if heads.epochs else [whole]


def _fit(
    model: PatchModel, train: Pairs, validation: Validation, phase: Phase, resume: Resume, choice: ModelChoice
) -> pd.DataFrame:
    """Return the history of one phase; `model` keeps its best weights."""
    settings = choice.training

    last = phase.name == "all"

    def step(network: nn.Module, batch: Batch) -> Tensor:
        if settings.same_text_is_positive:
            return network(batch)
        return network({name: value for name, value in batch.items() if name != "texts"})

    def measure(network: nn.Module) -> dict[str, float]:
        return validation.measure(network, last)

    optimiser = optimiser_of(model, phase.learning, phase.rate, settings)
    plan = Plan(
        phase.epochs,
        choice.seed,
        settings.precision,
        settings.accumulation,
        "cosine",
        settings.warmup,
        select=SELECTED,
        highest=True,
        patience=settings.patience,
        whole_batches=True,
    )
    batches = PairBatches(train, settings.batch_size, choice.seed, epochs=choice.all_epochs, done=phase.done)
    progress = fit(model, optimiser, batches, step, measure, plan, resume)
    rates = [phase.rate * _highest_factor(int(row["epoch"]), plan) for row in progress.history]
    return pd.DataFrame(progress.history).assign(phase=phase.name, learning_rate=rates)


def _highest_factor(epoch: int, plan: Plan) -> float:
    """Return the highest share of the learning rate in an epoch (0, 1, ...): as warm-up ends, later as it begins."""
    begins, ends = epoch / plan.epochs, (epoch + 1) / plan.epochs
    return rate_factor(min(max(begins, plan.warmup), ends), plan)
