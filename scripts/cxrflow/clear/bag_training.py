"""Trains one aggregator on the bags of one fold, and applies it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cxrflow.clear.aggregators import BagClassifier
from cxrflow.clear.bag_batches import BagBatches, Bags
from cxrflow.clear.downstream_settings import AggregationSettings, Aggregator, TaskKind
from cxrflow.losses import known_cross_entropy
from cxrflow.training import Batch, Plan, Progress, fit, seed_everything

LOSS = "validation_loss"


class Applied(NamedTuple):
    """Logits (B, C) of bags, and the weight (N,) of each of their slices, one bag after the other."""

    logits: NDArray[np.float32]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class FoldRun:
    """One aggregator of one fold: which, of what kind of task, and the seed of weights, batches and dropout."""

    aggregator: Aggregator
    kind: TaskKind
    seed: int


def positive_weights(labels: Tensor) -> Tensor:
    """Return (C,) n_neg / n_pos of labels (B, C) of 1, 0 or NaN; 1 where one of both does not occur.

    (The released code gives n_pos / n_neg as the weight of the whole label: rare ones hardly count.)
    """
    positives, negatives = (labels == 1).sum(dim=0), (labels == 0).sum(dim=0)
    return torch.where((positives > 0) & (negatives > 0), negatives / positives.clamp(min=1), 1.0)


def class_weights(labels: Tensor) -> Tensor:
    """Return the weight (C,) of each class of one-hot labels (B, C): all weigh the same; 1 where one is absent."""
    counts = labels.nansum(dim=0)
    return torch.where(counts > 0, len(labels) / (len(counts) * counts.clamp(min=1)), 1.0)


def balanced_loss(logits: Tensor, labels: Tensor, kind: TaskKind, weights: Tensor) -> Tensor:
    """Return the mean loss of bags: cross-entropy of classes, or the binary one of each label that is known."""
    if kind == "multi-class":
        return F.cross_entropy(logits, labels.argmax(dim=1), weights)
    return known_cross_entropy(logits, labels, weights)


def train_fold(run: FoldRun, train: Bags, held_out: Bags, how: AggregationSettings) -> tuple[BagClassifier, Progress]:
    """Return a new classifier with the weights of the epoch that is best on the bags held out, and its history.

    Nothing of it depends on other folds: the first weights are those of the seed. (The released code goes on from the
    model of the fold before, which has learnt from the patients that are now held out, and keeps the last epoch.)
    """
    seed_everything(run.seed)
    model = BagClassifier(run.aggregator, train.features.shape[1], train.labels.shape[1], run.kind, how)
    model.start_from(part.batch()["features"] for part in train.in_order())
    weigh = class_weights if run.kind == "multi-class" else positive_weights
    weights = weigh(train.labels)

    def step(network: nn.Module, batch: Batch) -> Tensor:
        logits, _ = network(batch["features"], batch["owner"], len(batch["labels"]))
        return balanced_loss(logits, batch["labels"], run.kind, weights.to(logits.device))

    def measure(network: nn.Module) -> dict[str, float]:
        logits = torch.from_numpy(apply(network, held_out).logits)
        return {LOSS: float(balanced_loss(logits, held_out.labels, run.kind, weights))}

    optimiser = torch.optim.Adam(model.parameters(), lr=how.learning_rate, fused=True)
    plan = Plan(how.epochs, run.seed, select=LOSS, patience=how.patience, verbose=False)
    progress = fit(model, optimiser, BagBatches(train, how.batch_size, how.bag_size, run.seed), step, measure, plan)
    return model.eval(), progress


@torch.no_grad()
def apply(model: nn.Module, bags: Bags) -> Applied:
    """Return what a classifier, in its present mode, makes of all slices of all bags."""
    device = next(model.parameters()).device
    found = []
    for part in bags.in_order():
        batch = part.batch()
        found.append(model(batch["features"].to(device), batch["owner"].to(device), len(part)))
    logits, weights = (torch.cat([each[place] for each in found]).float().cpu().numpy() for place in (0, 1))
    return Applied(logits, weights)


def as_log_odds(logits: NDArray[np.float32], kind: TaskKind) -> NDArray[np.float32]:
    """Return log-odds (B, C) of each label: of classes, that of a softmax's probability; logits of other tasks are."""
    if kind != "multi-class":
        return logits
    shares = torch.from_numpy(logits).double().log_softmax(dim=1)
    rest = torch.log1p(-shares.exp().clamp(max=1 - 1e-12))
    return (shares - rest).float().numpy()
