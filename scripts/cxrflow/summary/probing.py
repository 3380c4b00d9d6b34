"""What a linear probe reads from the features of every encoder, on the same images and resamples of patients."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.label_measures import label_areas
from cxrflow.measured import Measured, over_seeds
from cxrflow.metrics import patient_draws
from cxrflow.probe import probe_scores
from cxrflow.summary.feature_sources import Features, Name
from cxrflow.summary.settings import SummarySettings

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]
PROBE = "linear probe"


class Key(NamedTuple):
    """What a number is about; the label `mean` is the mean over labels, an empty one none."""

    system: str
    trained_on: str
    encoder: str
    task: str
    label: str
    metric: str

    @classmethod
    def of(cls, name: Name, task: str, label: str, metric: str) -> "Key":
        """Return the key of a number of one encoder."""
        return cls(name.system, name.trained_on, name.encoder, task, label, metric)


Measures = dict[Key, Measured]


@dataclass(frozen=True)
class Examples:
    """Images by id that probes learn from and are tested on, their labels (n, C) of 1, 0 or NaN, and the resamples.

    `patient` (test,) is the row of each test image in `drawn` (patients, R).
    """

    labels: list[str]
    train: list[str]
    test: list[str]
    train_truth: Floats
    test_truth: Floats
    patient: NDArray[np.intp]
    drawn: Floats

    @classmethod
    def of(
        cls, samples: pd.DataFrame, labels: Sequence[str], images: Iterable[pd.Index], settings: SummarySettings
    ) -> "Examples":
        """Return those of the samples' images that every encoder has features of."""
        common = samples["image_id"].isin(_in_all(images))
        logger.info("%d of %d images have features of every encoder.", common.sum(), len(samples))
        parts = {split: samples[common & (samples["split"] == split)] for split in ("train", "test")}
        truth = {split: part[list(labels)].to_numpy(dtype=np.float32) for split, part in parts.items()}
        ids = {split: part["image_id"].tolist() for split, part in parts.items()}
        draws = patient_draws(parts["test"]["patient_id"], settings.resamples, settings.seed)
        return cls(list(labels), ids["train"], ids["test"], truth["train"], truth["test"], *draws)


def probed(sources: Sequence[Features], examples: Examples) -> Measures:
    """Return AUROC and average precision by label and their means, of every encoder, the mean over its seeds."""
    by_name: dict[Name, list[Features]] = {}
    for source in sources:
        by_name.setdefault(source.name, []).append(source)
    found: Measures = {}
    for name, seeds in by_name.items():
        models = [_of_seed(source, examples) for source in seeds]
        logger.info("%s of %s: probed, %d seeds", name.encoder, name.system, len(seeds))
        for label, metric in models[0]:
            found[Key.of(name, PROBE, label, metric)] = over_seeds([model[label, metric] for model in models])
    return found


def standardised(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Return features (n, D) with mean 0 and variance 1 / D over the train split; those that never change are 0.

    So a vector has length 1 on average, as embeddings of contrastive models have, and the probe's penalty means the
    same for encoders of any width and scale.
    """
    mean, spread = train.mean(axis=0), train.std(axis=0)
    scale = np.divide(1, spread * np.sqrt(train.shape[1]), out=np.zeros_like(spread), where=spread > 1e-6)
    return (train - mean) * scale, (test - mean) * scale


def _of_seed(source: Features, examples: Examples) -> dict[tuple[str, str], Measured]:
    train, test = standardised(source.read(examples.train), source.read(examples.test))
    scores = probe_scores(train, examples.train_truth, test)
    return label_areas(examples.test_truth, scores, examples.labels, examples.patient, examples.drawn)


def _in_all(indices: Iterable[pd.Index]) -> pd.Index:
    common: pd.Index | None = None
    for index in indices:
        common = index if common is None else common.intersection(index)
    assert common is not None  # there is an encoder
    return common
