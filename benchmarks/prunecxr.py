"""Pruning, sweeps, agreement and metrics against what the released program does with torch, pandas and scikit-learn."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from benchmarks.prunecxr_analysis import analysis
from benchmarks.prunecxr_sweeps import (
    CLASSES,
    RESNET,
    SPARSITIES,
    new_network,
    prune_as_torch,
    sweeps,
)
from benchmarks.timing import Comparison
from cxrflow.classification.classifier import load_classifier
from cxrflow.forgetting.agreement import row_agreement
from cxrflow.metrics import class_metrics
from cxrflow.prunecxr.pruning import DenseWeights

IMAGES, TEST_IMAGES = 4_000, 21_000
COMPARED = (0.3, 0.6, 0.9)  # sparsities whose masks are compared
BATCH, SPARSE = 8, 0.9


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """Yield the comparisons of this room."""
    with TemporaryDirectory() as folder:
        whole = sweeps(Path(folder))  # makes the weights that the others prune
        weights = Path(folder, f"{RESNET.name}.safetensors")
        yield [_agreement(), _metrics(), _pruning(weights), *whole, _masked(weights), analysis(Path(folder))]


def _agreement() -> Comparison:
    """Spearman's correlation of each image's probabilities; every tenth image has ties."""
    random = np.random.default_rng(0)
    first = random.random((IMAGES, CLASSES), dtype=np.float32)
    second = (0.5 * first + 0.5 * random.random(first.shape)).astype(np.float32)
    for probabilities in (first, second):
        probabilities[::10] = np.round(probabilities[::10], 1)

    def ours() -> NDArray:
        return row_agreement(first, second).correlation

    def reference() -> list[float]:
        whole, pruned = pd.DataFrame(first), pd.DataFrame(second)
        return [whole.iloc[row].corr(pruned.iloc[row], method="spearman") for row in range(IMAGES)]

    np.testing.assert_allclose(ours(), reference(), atol=1e-12)
    name = f"agreement of {IMAGES:,} radiographs over {CLASSES} classes"
    return Comparison(name, ours, reference, goal=50, repeats=3)


def _metrics() -> Comparison:
    """AUROC, average precision and F1 above 0.5 of every class, common and rare."""
    random = np.random.default_rng(0)
    truth = (random.random((TEST_IMAGES, CLASSES)) < np.geomspace(0.5, 0.001, CLASSES)).astype(np.float32)
    scores = (1 / (1 + np.exp(1 - random.normal(2 * truth, 1)))).astype(np.float32)

    def ours() -> dict[str, NDArray]:
        return class_metrics(truth, scores)

    def reference() -> dict[str, NDArray]:
        return {
            "auroc": roc_auc_score(truth, scores, average=None),
            "auprc": average_precision_score(truth, scores, average=None),
            "f1": f1_score(truth, scores > 0.5, average=None),
        }

    found, expected = ours(), reference()
    for metric, values in expected.items():
        np.testing.assert_allclose(found[metric], values, atol=1e-12)
    name = f"AUROC, AP, F1 of {CLASSES} classes, {TEST_IMAGES:,} radiographs"
    return Comparison(name, ours, reference, goal=4)


def _pruning(weights: Path) -> Comparison:
    """One network pruned in place at every sparsity, and a new one for each; masks are compared in the turn."""
    state, found = load_file(weights), dict[float, NDArray[np.bool_]]()

    def ours() -> None:
        dense = DenseWeights.of(load_classifier(RESNET, CLASSES, weights))
        for share, mask in zip(SPARSITIES, dense.masks("l1", SPARSITIES, 0), strict=True):
            dense.prune(mask)
            found[share] = mask

    def reference() -> None:
        for share in SPARSITIES:
            network = new_network(RESNET, state)
            layers = prune_as_torch(network, share) if share else []
            if share in COMPARED:
                masks = torch.cat([layer.get_buffer("weight_mask").flatten() for layer in layers])
                assert np.array_equal(found[share], masks.numpy() == 0)

    name = f"{RESNET.name} pruned at {len(SPARSITIES)} sparsities"
    return Comparison(name, ours, reference, goal=15, repeats=1)


def _masked(weights: Path) -> Comparison:
    """Unstructured zeros in dense tensors: without a goal, for they are multiplied like other numbers."""
    masked, dense = (load_classifier(RESNET, CLASSES, weights) for _ in range(2))
    prunable = DenseWeights.of(masked)
    prunable.prune(next(prunable.masks("l1", [SPARSE], 0)))
    images = torch.rand(BATCH, 1, 256, 256, generator=torch.Generator().manual_seed(0))

    @torch.no_grad()
    def ours() -> torch.Tensor:
        return masked(images)

    @torch.no_grad()
    def reference() -> torch.Tensor:
        return dense(images)

    name = f"{RESNET.name} with {SPARSE:.0%} of its weights zero / dense"
    return Comparison(name, ours, reference, goal=float("nan"))
