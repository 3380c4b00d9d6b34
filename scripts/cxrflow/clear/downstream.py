"""Trains all aggregators of one encoder: tasks, shares of labels and folds; a killed job keeps finished ones."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.clear.bag_batches import Bags
from cxrflow.clear.bag_training import FoldRun, apply, as_log_odds, train_fold
from cxrflow.clear.downstream_settings import ATTENDING, AggregationSettings, Aggregator
from cxrflow.clear.feature_store import FeatureStore
from cxrflow.clear.folds import folds_of
from cxrflow.clear.tasks import HELD_OUT, TEST, Task
from cxrflow.files import write_arrays, write_table
from cxrflow.labelled_subsets import Level, labelled_places
from cxrflow.training import fingerprint, prepare_torch

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One aggregator of one task, from a share of the labels, with one fold held out."""

    task: Task
    aggregator: Aggregator
    fraction: float
    fold: int

    @property
    def name(self) -> str:
        """What its file is called."""
        return f"{self.task.name}_{self.aggregator}_{self.fraction:g}_{self.fold}"


@dataclass(frozen=True)
class EncoderSeed:
    """Which features are aggregated, as tables name them."""

    encoder: str
    seed: int


@dataclass(frozen=True)
class Fold:
    """The rows of a task's `learnt` that a run learns from, and those held out."""

    train: NDArray[np.intp]
    held_out: NDArray[np.intp]

    @classmethod
    def of(cls, run: Run, how: AggregationSettings) -> "Fold":
        """Return the fold of a run; its labelled patients contain those of every smaller share."""
        learnt = run.task.learnt
        fold = folds_of(run.task, learnt, how.folds, how.seed)
        others = np.flatnonzero(fold != run.fold)
        labels = list(run.task.labels)
        chosen = labelled_places(learnt.iloc[others], labels, Level(fraction=run.fraction), how.seed + run.fold)
        return cls(others[chosen], np.flatnonzero(fold == run.fold))


@dataclass(frozen=True)
class AggregatedFiles:
    """The predictions, the attention on test slices, and the folder of finished runs."""

    predictions: Path
    attention: Path
    resume: Path


def aggregate(
    store: FeatureStore,
    tasks: Sequence[Task],
    which: EncoderSeed,
    outputs: AggregatedFiles,
    how: AggregationSettings,
    threads: int,
    files: Sequence[Path | str],
) -> None:
    """Train all runs and write their predictions and attention as parquet tables; `files` are what they depend on.

    Predictions: a row per task, aggregator, fraction, fold, split (validate: of the fold held out), bag and label, with
    truth (NaN: not known) and logit. Attention: a row per task, attending aggregator and test slice, from the largest
    share, the mean over folds; the weights of a bag sum to 1.
    """
    prepare_torch(threads)
    runs = list(runs_of(tasks, how))
    facts = {"aggregation": how.model_dump(mode="json"), "seed": which.seed, "threads": threads}
    parts = outputs.resume / fingerprint(facts, files)[:16]
    for number, run in enumerate(runs, start=1):
        if not _part(parts, run).exists():
            _train(run, store, which.seed, how, _part(parts, run))
            logger.info("%d of %d aggregators: %s", number, len(runs), run.name)
    common: dict[str, Any] = {"encoder": which.encoder, "seed": which.seed}
    told = [table for run in runs for table in _predictions(run, _part(parts, run), how)]
    write_table(outputs.predictions, pd.concat(told, ignore_index=True).assign(**common))
    attention = [_attention(group, parts, store) for group in _attending(runs, how)]
    none = pd.DataFrame(columns=["task", "aggregator", "bag", "image_id", "attention"])
    write_table(outputs.attention, (pd.concat(attention, ignore_index=True) if attention else none).assign(**common))
    shutil.rmtree(outputs.resume, ignore_errors=True)


def runs_of(tasks: Sequence[Task], how: AggregationSettings) -> Iterator[Run]:
    """Yield all runs of one encoder."""
    for task in tasks:
        for aggregator in how.aggregators:
            for fraction in sorted(how.fractions):
                yield from (Run(task, aggregator, fraction, fold) for fold in range(how.folds))


def _part(parts: Path, run: Run) -> Path:
    return parts / f"{run.name}.npz"


def run_seed(how: AggregationSettings, encoder_seed: int, fold: int) -> int:
    """Return the seed of a run's weights and batches; the same for all encoders, aggregators and shares."""
    return int(np.random.SeedSequence([how.seed, encoder_seed, fold]).generate_state(1)[0])


def _train(run: Run, store: FeatureStore, seed: int, how: AggregationSettings, output: Path) -> None:
    """Write log-odds of the bags held out and of the test bags, and the weights of the slices of the latter."""
    task, fold = run.task, Fold.of(run, how)
    learnt, test = (Bags.of(store, rows, task.labels) for rows in (task.learnt, task.test))
    chosen = FoldRun(run.aggregator, task.kind, run_seed(how, seed, run.fold))
    model, _ = train_fold(chosen, learnt.at(fold.train), learnt.at(fold.held_out), how)
    own, tested = apply(model, learnt.at(fold.held_out)), apply(model, test)
    found = {HELD_OUT: as_log_odds(own.logits, task.kind), TEST: as_log_odds(tested.logits, task.kind)}
    write_arrays(output, [*found.items(), ("weights", tested.weights)])


def _predictions(run: Run, part: Path, how: AggregationSettings) -> Iterator[pd.DataFrame]:
    fold = Fold.of(run, how)
    learnt, task = run.task.learnt, run.task
    about: dict[str, Any] = {
        "task": task.name,
        "kind": task.kind,
        "aggregator": run.aggregator,
        "fraction": run.fraction,
    }
    patients = learnt["patient_id"].iloc[fold.train].nunique()
    with np.load(part, allow_pickle=False) as arrays:
        for split, rows in ((HELD_OUT, learnt.iloc[fold.held_out]), (TEST, task.test)):
            yield _long(rows, task.labels, arrays[split]).assign(
                **about, fold=run.fold, split=split, train_patients=patients
            )


def _long(rows: pd.DataFrame, labels: tuple[str, ...], logits: NDArray[np.float32]) -> pd.DataFrame:
    """Return one row per bag and label: bag, patient_id, label, truth, logit."""
    count = len(labels)
    return pd.DataFrame(
        {
            "bag": np.repeat(rows["bag"].to_numpy(), count),
            "patient_id": np.repeat(rows["patient_id"].to_numpy(), count),
            "label": np.tile(np.array(labels, dtype=object), len(rows)),
            "truth": rows[list(labels)].to_numpy(dtype=np.float32).ravel(),
            "logit": logits.ravel(),
        }
    )


def _attending(runs: Sequence[Run], how: AggregationSettings) -> Iterator[list[Run]]:
    """Yield the folds of each task and attending aggregator at the largest share."""
    largest = [run for run in runs if run.fraction == max(how.fractions) and run.aggregator in ATTENDING]
    for start in range(0, len(largest), how.folds):
        yield largest[start : start + how.folds]


def _attention(folds: Sequence[Run], parts: Path, store: FeatureStore) -> pd.DataFrame:
    first = folds[0]
    weights = []
    for run in folds:
        with np.load(_part(parts, run), allow_pickle=False) as arrays:
            weights.append(arrays["weights"])
    bags = Bags.of(store, first.task.test, first.task.labels)
    return pd.DataFrame(
        {
            "task": first.task.name,
            "aggregator": first.aggregator,
            "bag": np.repeat(first.task.test["bag"].to_numpy(), bags.counts),
            "image_id": store.images[bags.rows()].astype(object),
            "attention": np.mean(weights, axis=0),
        }
    )
