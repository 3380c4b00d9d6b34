"""How well each class is told at every level of compression: one seed's metrics, and their values over resamples.

All seeds and ways share the same resamples of patients, so that what is compared is compared on the same patients.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrflow.errors import UserError
from cxrflow.files import write_arrays
from cxrflow.forgetting.predictions import DENSE, Truth, read_classes, read_seed
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.metrics import class_metrics, f1_score, resample_weights
from cxrflow.ranking import Ranking
from cxrflow.resampled_areas import resampled_areas

METRICS = ("auroc", "auprc", "f1", "f1_validated")
"""Areas under the ROC and the precision-recall curve, F1 above 0.5 and above the threshold found on validation."""
RESAMPLED = ("auroc", "auprc")
"""Those that are measured on resamples of patients too."""


@dataclass(frozen=True)
class SeedMeasures:
    """One seed, compressed in one way; NaN where a class has no value."""

    way: str
    seed: int
    classes: tuple[str, ...]
    """C names."""
    levels: NDArray[np.float64]
    """(K,) ascending shares taken away, from 0."""
    values: dict[str, NDArray[np.float64]]
    """METRICS -> (K, C)"""
    resampled: dict[str, NDArray[np.float32]]
    """RESAMPLED -> (R, K, C)"""


@dataclass(frozen=True)
class WayMeasures:
    """All seeds of one way to compress, in the order of their numbers."""

    way: str
    seeds: tuple[int, ...]
    classes: tuple[str, ...]
    levels: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]
    """METRICS -> (S, K, C)"""
    resampled: dict[str, NDArray[np.float32]]
    """RESAMPLED -> (S, R, K, C)"""


def measure_seed(
    files: Sequence[Path],
    truth: Truth,
    ways: Sequence[str],
    settings: ForgettingSettings,
    thresholds: ArrayLike = np.nan,
) -> list[SeedMeasures]:
    """Measure one seed's predictions, compressed in each of `ways`, against the truth of the test split.

    `thresholds` (C,) of `f1_validated` are those of `validated_thresholds`. Raises UserError where the predictions are
    of other classes than the truth.
    """
    require_classes(files, truth)
    patients, patient = np.unique(truth.patient_ids, return_inverse=True)
    drawn = resample_weights(patients, settings.resamples, settings.seed)
    weights = np.ascontiguousarray(drawn.T, dtype=np.float32)
    return [_measure_way(files, truth, way, patient, weights, thresholds) for way in ways]


def validated_thresholds(files: Sequence[Path], truth: Truth) -> NDArray[np.float64]:
    """Return the probability (C,) from which on predicting a class has the best F1 on the validate split.

    `files` hold the seed's uncompressed predictions of that split, `truth` is of that split. NaN where a class has one
    outcome.
    """
    require_classes(files, truth)
    dense = read_seed(files, DENSE, truth.image_ids.tolist(), [0.0]).probabilities[0]
    columns = zip(truth.labels.T, dense.T, strict=True)
    return np.array([Ranking.of(labels, scores).best_threshold() for labels, scores in columns])


def require_classes(files: Sequence[Path], truth: Truth) -> None:
    """Raise UserError where a file's classes are not those of the truth, in its order."""
    for path in files:
        found = read_classes(path)
        if found != truth.classes:
            other = sorted(set(found) ^ set(truth.classes))
            raise UserError(
                f"{path} predicts other classes than were asked for ({', '.join(other) or 'in another order'}).",
                "the classes have changed since it was written: delete it and run again.",
            )


def save_measures(path: Path, measured: Sequence[SeedMeasures]) -> None:
    """Write the measures of one seed, all its ways, as npz."""
    first = measured[0]
    arrays: dict[str, Any] = {
        "seed": np.array(first.seed),
        "classes": np.array(first.classes),
        "ways": np.array([found.way for found in measured]),
    }
    for found in measured:
        arrays[f"{found.way}/levels"] = found.levels
        arrays |= {f"{found.way}/{metric}": values for metric, values in found.values.items()}
        arrays |= {f"{found.way}/{metric}_resampled": values for metric, values in found.resampled.items()}
    write_arrays(path, arrays.items())


def load_measures(path: Path) -> list[SeedMeasures]:
    """Read what `save_measures` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        seed, classes = int(stored["seed"]), tuple(stored["classes"].tolist())
        return [
            SeedMeasures(
                way,
                seed,
                classes,
                stored[f"{way}/levels"],
                {metric: stored[f"{way}/{metric}"] for metric in METRICS},
                {metric: stored[f"{way}/{metric}_resampled"] for metric in RESAMPLED},
            )
            for way in stored["ways"].tolist()
        ]


def gather(measured: Sequence[SeedMeasures]) -> WayMeasures:
    """Return the seeds of one way together; raises UserError where they differ in classes, levels or resamples."""
    seeds = sorted(measured, key=lambda found: found.seed)
    first = seeds[0]
    alike = all(
        (found.way, found.classes) == (first.way, first.classes)
        and np.array_equal(found.levels, first.levels)
        and found.resampled["auprc"].shape == first.resampled["auprc"].shape
        for found in seeds
    )
    if not alike or len({found.seed for found in seeds}) < len(seeds):
        raise UserError(
            f"The measures of {first.way!r} can't be put together: seeds {[found.seed for found in seeds]} differ in "
            "classes, levels or number of resamples, or one is there twice.",
            "delete the measures of all seeds and run again.",
        )
    return WayMeasures(
        first.way,
        tuple(found.seed for found in seeds),
        first.classes,
        first.levels,
        {metric: np.stack([found.values[metric] for found in seeds]) for metric in METRICS},
        {metric: np.stack([found.resampled[metric] for found in seeds]) for metric in RESAMPLED},
    )


def by_way(files: Sequence[Path]) -> dict[str, WayMeasures]:
    """Read the measures of all seeds and return those of each way, in the order of the first file."""
    measured = [found for path in files for found in load_measures(path)]
    ways = list(dict.fromkeys(found.way for found in measured))
    return {way: gather([found for found in measured if found.way == way]) for way in ways}


def _measure_way(
    files: Sequence[Path],
    truth: Truth,
    way: str,
    patient: NDArray[np.intp],
    weights: NDArray[np.float32],
    thresholds: ArrayLike,
) -> SeedMeasures:
    """Measure all levels of one way; `weights` (patients, R), `patient` (N,) their row of each image."""
    predicted = read_seed(files, way, truth.image_ids.tolist())
    count, shape = len(predicted.levels), (weights.shape[1], len(predicted.levels), len(truth.classes))
    values = {metric: np.full((count, len(truth.classes)), np.nan) for metric in METRICS}
    resampled = {metric: np.full(shape, np.nan, np.float32) for metric in RESAMPLED}
    for level, scores in enumerate(predicted.probabilities):
        rankings = [Ranking.of(*columns) for columns in zip(truth.labels.T, scores.T, strict=True)]
        found = class_metrics(truth.labels, scores, rankings=rankings)
        found["f1_validated"] = f1_score(truth.labels, scores, thresholds)
        for metric in METRICS:
            values[metric][level] = found[metric]
        for place, ranking in enumerate(rankings):
            if not ranking.one_outcome:
                areas = resampled_areas(ranking, patient, weights)
                for metric, area in zip(RESAMPLED, areas, strict=True):
                    resampled[metric][:, level, place] = area
    return SeedMeasures(way, predicted.seed, truth.classes, predicted.levels, values, resampled)
