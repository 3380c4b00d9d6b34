"""Trains the graph classifier for one seed: every share of patches, input, selector and text in one job."""

import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.policies import UncertainPolicy
from cxrflow.errors import UserError
from cxrflow.files import write_table
from cxrflow.losses import known_cross_entropy, start_at_frequencies
from cxrflow.neural.gnn import GraphClassifier
from cxrflow.neural.graph_batches import ShuffledGraphs, SplitGraphs, StoredBatches, in_order
from cxrflow.neural.graphs import Graphs
from cxrflow.neural.settings import GnnSettings
from cxrflow.neural.variants import Variant, permuted, variants
from cxrflow.training import Batch, Plan, Resume, arithmetic, fingerprint, fit, prepare_torch, this_device

logger = logging.getLogger(__name__)

SPLITS = ("train", "validate", "test")
READ_AT_ONCE = 256  # graphs per step where nothing is learned


@dataclass(frozen=True)
class GraphFiles:
    """The graphs, and for each split the exported features and whose they are; features of decoded images by codec."""

    graphs: Path
    features: dict[str, Path]
    images: dict[str, Path]
    codecs: dict[str, dict[str, Path]] = field(default_factory=dict)


@dataclass(frozen=True)
class Cohort:
    """All splits, and for each codec the features of the decoded images of each split."""

    splits: dict[str, SplitGraphs]
    codecs: Mapping[str, Mapping[str, NDArray[np.float16]]]

    def seen_by(self, variant: Variant, seed: int) -> dict[str, SplitGraphs]:
        """Return the splits with the features and the labels that a variant is trained and tested on."""
        seen = self.splits
        if variant.selector in self.codecs:
            decoded = self.codecs[variant.selector]
            seen = {split: replace(data, features=decoded[split]) for split, data in seen.items()}
        if variant.labels == "permuted":
            seen = {split: replace(data, targets=_permuted(data, split, seed)) for split, data in seen.items()}
        return seen


def train_gnn(
    cohort: CohortFiles,
    inputs: GraphFiles,
    output: Path,
    settings: GnnSettings,
    uncertain: UncertainPolicy,
    seed: int,
    threads: int,
    states: Path,
    code: list[str],
) -> None:
    """Train every variant on the train split and write the test split's probabilities.

    The epoch with the lowest validation loss is kept; the test split is read once, after that. (The original reports
    the best epoch's validation AUC.) The folder `states` holds how far each variant has come, until all are done.
    """
    prepare_torch(threads, seed)
    graphs, targets = Graphs.load(inputs.graphs), list(settings.targets)
    samples = cohort.samples(targets, uncertain).set_index("image_id")
    precision = torch.bfloat16 if arithmetic(settings.precision) == "bf16" else torch.float32
    splits = {split: replace(_split(graphs, samples, inputs, split, targets), precision=precision) for split in SPLITS}
    read = Cohort(splits, {name: _decoded(name, files, splits) for name, files in inputs.codecs.items()})
    tables, run = [], _fingerprint(cohort, inputs, settings, uncertain, seed, threads, code)
    for number, variant in enumerate(variants(graphs, settings.inputs, list(inputs.codecs), settings.permuted_control)):
        started, seen = time.monotonic(), read.seen_by(variant, seed)
        resume = Resume(states / f"{number}.pt", run)
        model, loss = train_variant(seen["train"], seen["validate"], variant, settings, seed, resume)
        probabilities = predict(model, in_order(seen["test"], variant, READ_AT_ONCE))
        tables.append(_table(seen["test"], variant, probabilities, targets, seed))
        logger.info("%s: validation loss %.4f (%.1f s)", variant, loss, time.monotonic() - started)
    write_table(output, pd.concat(tables, ignore_index=True))
    shutil.rmtree(states)


def _fingerprint(
    cohort: CohortFiles,
    inputs: GraphFiles,
    settings: GnnSettings,
    uncertain: UncertainPolicy,
    seed: int,
    threads: int,
    code: list[str],
) -> str:
    """Return what a saved state must agree in; size and time stand for the features, which are too large to read."""
    features = [*inputs.features.values(), *(file for files in inputs.codecs.values() for file in files.values())]
    facts = {
        "gnn": settings.model_dump(mode="json", exclude={"seeds"}),
        "uncertain": uncertain,
        "arithmetic": arithmetic(settings.precision),
        "seed": seed,
        "threads": threads,
        "features": [(status.st_size, status.st_mtime_ns) for status in map(Path.stat, features)],
    }
    return fingerprint(facts, [*cohort.tables(), inputs.graphs, *inputs.images.values(), *code])


def train_variant(
    train: SplitGraphs,
    validate: SplitGraphs,
    variant: Variant,
    settings: GnnSettings,
    seed: int,
    resume: Resume | None = None,
) -> tuple[GraphClassifier, float]:
    """Return the classifier of one variant and its lowest validation loss."""
    torch.manual_seed(seed)
    model = GraphClassifier(train.features.shape[2], train.entity_width, settings.hidden, train.targets.shape[1])
    start_at_frequencies(model.head, train.targets)
    held_out = in_order(validate, variant, READ_AT_ONCE)

    def step(network: nn.Module, batch: Batch) -> Tensor:
        return known_cross_entropy(network(batch), batch["targets"])

    def measure(network: nn.Module) -> dict[str, float]:
        return {"validation_loss": float(known_cross_entropy(_logits(network, held_out), validate.targets))}

    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    plan = Plan(settings.epochs, seed, settings.precision, verbose=False)
    batches = ShuffledGraphs.of(train, variant, settings.batch_size, seed)
    progress = fit(model, optimiser, batches, step, measure, plan, resume)
    return model, progress.history[progress.best_epoch]["validation_loss"]


@torch.no_grad()
def predict(model: nn.Module, batches: StoredBatches) -> NDArray[np.float32]:
    """Return probabilities (n, C)."""
    model.eval()
    return torch.sigmoid(_logits(model, batches)).numpy()


def _logits(model: nn.Module, batches: StoredBatches) -> Tensor:
    device = this_device()
    return torch.cat([model({k: v.to(device) for k, v in batch.items()}).float().cpu() for batch in batches])


def _permuted(data: SplitGraphs, split: str, seed: int) -> Tensor:
    return permuted(data.targets, data.graphs.patient_id[data.rows], split, seed)


def _split(graphs: Graphs, samples: pd.DataFrame, inputs: GraphFiles, split: str, targets: list[str]) -> SplitGraphs:
    """Return one split; graphs, features and samples must be of the same images in the same order."""
    rows = np.flatnonzero(graphs.split == split)
    features = np.load(inputs.features[split], mmap_mode="r", allow_pickle=False)
    exported = pd.read_parquet(inputs.images[split], columns=["image_id"])["image_id"].to_numpy(dtype=str)
    if len(features) != len(rows) or not np.array_equal(exported, graphs.image_id[rows]):
        raise UserError(
            f"Graphs and exported features of the {split} split are of different images.",
            "They come from different runs: delete results/<cohort>/neural/graphs.npz and run again.",
        )
    truth = samples.loc[graphs.image_id[rows], targets].to_numpy(dtype=np.float32, copy=True)
    return SplitGraphs(graphs, rows, features, torch.from_numpy(truth))


def _decoded(name: str, files: Mapping[str, Path], splits: Mapping[str, SplitGraphs]) -> dict[str, NDArray[np.float16]]:
    """Return a codec's features of each split; there must be as many, and as wide, as of the originals."""
    found = {split: np.load(files[split], mmap_mode="r", allow_pickle=False) for split in splits}
    for split, features in found.items():
        if features.shape != splits[split].features.shape:
            raise UserError(
                f"{files[split]} holds features {features.shape}, expected {splits[split].features.shape}, as without "
                "the codec.",
                f"They come from different runs: delete the files of {name} in neural/codecs/ and run again.",
            )
    return found


def _table(
    data: SplitGraphs, variant: Variant, probabilities: NDArray[np.float32], targets: list[str], seed: int
) -> pd.DataFrame:
    """Return one row per image and target whose truth is known."""
    truth = data.targets.numpy().ravel()
    count, classes = probabilities.shape
    table = {
        "image_id": np.repeat(data.graphs.image_id[data.rows], classes),
        "patient_id": np.repeat(data.graphs.patient_id[data.rows], classes),
        "target": np.tile(np.array(targets), count),
        "kept_percent": variant.kept_percent,
        "input": variant.input,
        "selector": variant.selector,
        "text": variant.text,
        "labels": variant.labels,
        "seed": seed,
        "y": np.nan_to_num(truth).astype(np.int8),
        "probability": probabilities.astype(np.float32).ravel(),
    }
    return pd.DataFrame(table)[~np.isnan(truth)]
