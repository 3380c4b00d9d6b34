"""Trains the vision-language model and measures it on the validate split."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import write_table
from cxrflow.neural.dataset import AugmentedBatches, RadiographReports, pair
from cxrflow.neural.settings import DataSettings, VlmSettings
from cxrflow.neural.tokenizer import published_tokenizer, save_tokenizer, train_tokenizer
from cxrflow.neural.vlm import VisionLanguageModel, vlm_loss
from cxrflow.radiographs import in_order
from cxrflow.ranking import class_aurocs
from cxrflow.training import (
    Batch,
    Plan,
    Resume,
    arithmetic,
    fingerprint,
    fit,
    is_main_process,
    machine_facts,
    prepare_torch,
)
from cxrflow.weights import save_weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VlmFiles:
    """What training leaves behind."""

    weights: Path
    tokenizer: Path
    history: Path
    validation: Path
    resume: Path


def train_vlm(
    cohort: CohortFiles,
    outputs: VlmFiles,
    data: DataSettings,
    settings: VlmSettings,
    code: list[str],
    threads: int,
    backbone: Path | None = None,
) -> None:
    """Train on the train split, keep the epoch with the lowest validation loss, write weights, tokenizer, history
    and the predictions on the validate split. The encoder starts from the file `backbone` where it is so set."""
    prepare_torch(threads, settings.seed)
    samples = cohort.samples(list(data.labels), data.uncertain)
    tokenizer = _tokenizer(samples, settings)
    splits = {name: samples[samples["split"] == name] for name in ("train", "validate")}
    store, labels = cohort.store(), list(data.labels)
    train, validate = (
        pair(store, rows, labels, tokenizer, settings.decoder.max_text_length) for rows in splits.values()
    )
    model = VisionLanguageModel(settings, data.image_size, len(labels), tokenizer.get_vocab_size(), backbone)
    about = (len(train), len(validate), _size(model), arithmetic(settings.precision))
    logger.info("%d training and %d validation radiographs, %d parameters, %s arithmetic", *about)
    files: list[Path | str] = [*cohort.tables(), *code, *([backbone] if backbone else [])]
    resume = Resume(outputs.resume, fingerprint(_facts(data, settings, threads), files))
    history, logits = _fit(model, train, validate, labels, settings, resume)
    if not is_main_process():
        return
    write_table(outputs.history, pd.DataFrame(history))
    write_table(outputs.validation, _predictions(splits["validate"], logits, labels))
    save_tokenizer(tokenizer, outputs.tokenizer)
    save_weights(model.cpu(), outputs.weights)
    resume.discard()


def _fit(
    model: VisionLanguageModel,
    train: RadiographReports,
    validate: RadiographReports,
    labels: list[str],
    settings: VlmSettings,
    resume: Resume,
) -> tuple[list[dict[str, float]], np.ndarray]:
    """Return the history and the best epoch's logits (N, C) on the validate split."""

    def step(network: nn.Module, batch: Batch) -> Tensor:
        output = network(batch["images"], batch.get("tokens"))
        return vlm_loss(output, batch["findings"], settings.classification_weight)

    def measure(network: nn.Module) -> dict[str, float]:
        losses, logits = evaluate(network, validate, settings)
        areas = class_aurocs(validate.findings.numpy(), logits).tolist()
        by_label = {f"auroc {label}": area for label, area in zip(labels, areas, strict=True)}
        return {"validation_loss": sum(losses), "generation": losses[0], "classification": losses[1], **by_label}

    optimiser = torch.optim.AdamW(model.parameter_groups(settings), weight_decay=0.01, fused=True)
    plan = Plan(settings.epochs, settings.seed, settings.precision, settings.accumulation, settings.schedule)
    findings_first = int(settings.findings_first * settings.epochs)
    batches = AugmentedBatches(
        train, settings.batch_size, settings.seed, lengths=train.lengths, without_reports=findings_first
    )
    progress = fit(model, optimiser, batches, step, measure, plan, resume)
    model.eval()
    with torch.no_grad():
        return progress.history, evaluate(model, validate, settings)[1]


def evaluate(
    model: nn.Module, data: RadiographReports, settings: VlmSettings
) -> tuple[tuple[float, float], np.ndarray]:
    """Return the two parts of the loss (report, weighted findings; means over radiographs) and the logits (N, C)."""
    device = next(model.parameters()).device
    generation = classification = 0.0
    logits = []
    for batch in in_order(data, 4 * settings.batch_size):
        batch = {name: value.to(device) for name, value in batch.items()}
        output, share = model(batch["images"], batch["tokens"]), len(batch["images"]) / len(data)
        whole = float(vlm_loss(output, batch["findings"], settings.classification_weight))
        generation += share * float(output.generation_loss)
        classification += share * (whole - float(output.generation_loss))
        logits.append(output.finding_logits.float().cpu().numpy())
    return (generation, classification), np.concatenate(logits)


def _predictions(samples: pd.DataFrame, logits: np.ndarray, labels: list[str]) -> pd.DataFrame:
    """Return one row per image and finding whose truth is known."""
    truth = samples[labels].to_numpy(dtype=np.float64).ravel()
    table = pd.DataFrame(
        {
            "image_id": np.repeat(samples["image_id"].to_numpy(), len(labels)),
            "patient_id": np.repeat(samples["patient_id"].to_numpy(), len(labels)),
            "target": np.tile(np.array(labels), len(samples)),
            "y": np.nan_to_num(truth).astype(np.int8),
            "logit": logits.astype(np.float32).ravel(),
        }
    )
    return table[~np.isnan(truth)]


def _tokenizer(samples: pd.DataFrame, settings: VlmSettings) -> Tokenizer:
    if settings.decoder.name != "small":
        return published_tokenizer(settings.decoder.name)
    return train_tokenizer(samples.loc[samples["split"] == "train", "text"], settings.decoder.vocabulary)


def _facts(data: DataSettings, settings: VlmSettings, threads: int) -> dict:
    chosen = {"data": data.model_dump(mode="json"), "vlm": settings.model_dump(mode="json")}
    return {**chosen, **machine_facts(threads, settings.precision)}


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
