"""One trained classifier at every sparsity: load once, one sort, images from the store, one pass per sparsity.

A killed sweep goes on after its last finished sparsity: each one's probabilities are kept until the table is whole.
"""

import json
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cxrflow.classification.classifier import load_classifier
from cxrflow.classification.radiographs import LabelledRadiographs, class_names, split_radiographs
from cxrflow.classification.settings import DataSettings, NetworkSettings
from cxrflow.classification.training import predict_logits
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import atomic_path, write_json, write_text
from cxrflow.forgetting.predictions import DENSE, write_predictions
from cxrflow.prunecxr.pruning import DenseWeights
from cxrflow.prunecxr.settings import Method, SweepSettings, chunk_of
from cxrflow.training import arithmetic, fingerprint, prepare_torch, this_device

logger = logging.getLogger(__name__)
Probabilities = NDArray[np.float32]


class Cell(NamedTuple):
    """One pruned network; `model` is the method, or `dense` where nothing is pruned."""

    model: str
    sparsity: float


@dataclass(frozen=True)
class SweepFiles:
    """The trained weights, what the sweep leaves, and the folder in which finished sparsities wait."""

    weights: Path
    predictions: Path
    speed: Path
    waiting: Path


@dataclass(frozen=True)
class SweepChoice:
    """What is swept: one seed, one chunk of the sparsities."""

    data: DataSettings
    network: NetworkSettings
    sweep: SweepSettings
    seed: int
    chunk: int

    @property
    def sparsities(self) -> tuple[float, ...]:
        """The sparsities of this chunk, ascending."""
        return chunk_of(self.sweep.sparsities, self.chunk, self.sweep.chunks)


def sweep(cohort: CohortFiles, files: SweepFiles, choice: SweepChoice, threads: int) -> None:
    """Predict the test split at every sparsity of the chunk, by every method, and write one table of predictions."""
    prepare_torch(threads, choice.seed)
    classes = class_names(cohort, choice.data)
    samples = cohort.samples(classes, choice.data.uncertain)
    test = split_radiographs(cohort, samples, "test", classes)
    image_ids = samples.loc[samples["split"] == "test", "image_id"].tolist()
    network = load_classifier(choice.network, len(classes), files.weights).to(this_device())
    waiting = Waiting.open(files.waiting, _fingerprint(cohort, files, choice, threads))
    speed = []
    with write_predictions(files.predictions, classes) as table:
        for cell, probabilities, seconds in swept(network, test, choice, waiting):
            table.append(cell.model, choice.seed, cell.sparsity, image_ids, probabilities)
            if seconds is not None:
                speed.append({**cell._asdict(), "images_per_second": round(len(test) / max(seconds, 1e-9), 1)})
    write_json(files.speed, speed)
    waiting.discard()


def swept(
    network: nn.Module, test: LabelledRadiographs, choice: SweepChoice, waiting: "Waiting"
) -> Iterator[tuple[Cell, Probabilities, float | None]]:
    """Yield each cell with its probabilities (N, C) and the seconds of its pass (None: it was there already)."""
    dense = DenseWeights.of(network)
    for method in choice.sweep.methods:
        shares = [share for share in choice.sparsities if share > 0 or method == choice.sweep.methods[0]]
        wanted = [share for share in shares if waiting.read(_cell(method, share)) is None]
        masks = dense.masks(method, wanted, choice.seed)
        for share in shares:
            cell, seconds = _cell(method, share), None
            found = waiting.read(cell)
            if found is None:
                dense.prune(next(masks))
                started = time.monotonic()
                found = _probabilities(network, test, choice.sweep)
                seconds = time.monotonic() - started
                waiting.keep(cell, found)
                logger.info("%s at sparsity %g: %.1f s", cell.model, share, seconds)
            yield cell, found, seconds


def _cell(method: Method, share: float) -> Cell:
    return Cell(method if share > 0 else DENSE, share)


def _probabilities(network: nn.Module, test: LabelledRadiographs, settings: SweepSettings) -> Probabilities:
    mixed = arithmetic(settings.precision) == "bf16"
    with torch.autocast(this_device().type, dtype=torch.bfloat16, enabled=mixed):
        logits = predict_logits(network, test, settings.batch_size)
    return torch.sigmoid(torch.from_numpy(logits)).numpy()


@dataclass(frozen=True)
class Waiting:
    """A folder of finished sparsities of one sweep; another sweep's are not taken."""

    folder: Path

    @classmethod
    def open(cls, folder: Path, fingerprint: str) -> "Waiting":
        """Open the folder, emptied first where it belongs to other weights, data, settings or code."""
        mark = folder / "sweep.json"
        if not (mark.exists() and json.loads(mark.read_text())["fingerprint"] == fingerprint):
            shutil.rmtree(folder, ignore_errors=True)
            write_text(mark, json.dumps({"fingerprint": fingerprint}))
        else:
            logger.info("Going on after %d finished sparsities of an earlier run.", len(list(folder.glob("*.npy"))))
        return cls(folder)

    def read(self, cell: Cell) -> Probabilities | None:
        """Return the probabilities of a finished cell."""
        path = self._path(cell)
        return np.load(path, allow_pickle=False) if path.exists() else None

    def keep(self, cell: Cell, probabilities: Probabilities) -> None:
        """Keep the probabilities of a cell, whole or not at all."""
        with atomic_path(self._path(cell)) as temporary:
            np.save(temporary, probabilities)

    def discard(self) -> None:
        """Forget all of them, once the table made from them is in place."""
        shutil.rmtree(self.folder)

    def _path(self, cell: Cell) -> Path:
        return self.folder / f"{cell.model}_{cell.sparsity:g}.npy"


def _fingerprint(cohort: CohortFiles, files: SweepFiles, choice: SweepChoice, threads: int) -> str:
    facts = {
        "data": choice.data.model_dump(mode="json"),
        "network": choice.network.model_dump(mode="json"),
        "batch_size": choice.sweep.batch_size,
        "arithmetic": arithmetic(choice.sweep.precision),
        "seed": choice.seed,
        "threads": threads,
    }
    return fingerprint(facts, [*cohort.tables(), files.weights])
