"""Trains the graph classifier for one seed: every share of patches, input and selector in one job."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from cxrflow.cohort.policies import UncertainPolicy
from cxrflow.errors import UserError
from cxrflow.files import write_table
from cxrflow.losses import known_cross_entropy
from cxrflow.neural.cohort_files import CohortFiles
from cxrflow.neural.gnn import GraphClassifier
from cxrflow.neural.graph_batches import ShuffledGraphs, SplitGraphs, Variant, variants
from cxrflow.neural.graphs import Graphs
from cxrflow.neural.settings import GnnSettings
from cxrflow.training import Batch, Plan, fit, prepare_torch, this_device

logger = logging.getLogger(__name__)

SPLITS = ("train", "validate", "test")


@dataclass(frozen=True)
class GraphFiles:
    """The graphs, and for each split the exported features and whose they are."""

    graphs: Path
    features: dict[str, Path]
    images: dict[str, Path]


def train_gnn(
    cohort: CohortFiles,
    inputs: GraphFiles,
    output: Path,
    settings: GnnSettings,
    uncertain: UncertainPolicy,
    seed: int,
    threads: int,
) -> None:
    """Train every variant on the train split and write the test split's probabilities.

    The epoch with the lowest validation loss is kept; the test split is read once, after that. (The original reports
    the best epoch's validation AUC.)
    """
    prepare_torch(threads, seed)
    samples = cohort.samples(list(settings.targets), uncertain).set_index("image_id")
    graphs = Graphs.load(inputs.graphs)
    splits = {split: _split(graphs, samples, inputs, split, list(settings.targets)) for split in SPLITS}
    tables = []
    for variant in variants(graphs, settings.inputs):
        started = time.monotonic()
        model, loss = train_variant(splits["train"], splits["validate"], variant, settings, seed)
        probabilities = predict(model, splits["test"], variant, settings.batch_size)
        tables.append(_table(splits["test"], variant, probabilities, list(settings.targets), seed))
        seconds = time.monotonic() - started
        logger.info("%s %s %g%%: validation loss %.4f (%.1f s)", *variant[:3], loss, seconds)
    write_table(output, pd.concat(tables, ignore_index=True))


def train_variant(
    train: SplitGraphs, validate: SplitGraphs, variant: Variant, settings: GnnSettings, seed: int
) -> tuple[GraphClassifier, float]:
    """Return the classifier of one variant and its lowest validation loss."""
    torch.manual_seed(seed)
    vectors = train.graphs.reports.vectors
    model = GraphClassifier(train.features.shape[2], vectors.shape[1], settings.hidden, train.targets.shape[1])

    def step(network: nn.Module, batch: Batch) -> Tensor:
        return known_cross_entropy(network(batch), batch["targets"])

    def measure(network: nn.Module) -> dict[str, float]:
        logits = _logits(network, validate, variant, settings.batch_size)
        return {"validation_loss": float(known_cross_entropy(logits, validate.targets))}

    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    plan = Plan(settings.epochs, seed, settings.precision, verbose=False)
    batches = ShuffledGraphs(train, variant, settings.batch_size, seed)
    progress = fit(model, optimiser, batches, step, measure, plan)
    return model, progress.history[progress.best_epoch]["validation_loss"]


@torch.no_grad()
def predict(model: nn.Module, data: SplitGraphs, variant: Variant, size: int) -> np.ndarray:
    """Return probabilities (n, C) float32."""
    model.eval()
    return torch.sigmoid(_logits(model, data, variant, size).float()).numpy()


def _logits(model: nn.Module, data: SplitGraphs, variant: Variant, size: int) -> Tensor:
    device = this_device()
    parts = [model({k: v.to(device) for k, v in batch.items()}).cpu() for batch in data.in_order(size, variant)]
    return torch.cat(parts)


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


def _table(
    data: SplitGraphs, variant: Variant, probabilities: np.ndarray, targets: list[str], seed: int
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
        "seed": seed,
        "y": np.nan_to_num(truth).astype(np.int8),
        "probability": probabilities.astype(np.float32).ravel(),
    }
    return pd.DataFrame(table)[~np.isnan(truth)]
