"""Predictions without training: each class has a signal that fades along the compression, that of rare ones first."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrflow.forgetting.measures import METRICS, RESAMPLED, WayMeasures
from cxrflow.forgetting.predictions import DENSE, Truth, write_predictions

LEVELS = np.r_[0.0, np.arange(0.1, 0.95, 0.1), 0.95].round(2)


def made_up_labels(images: int, prevalences: NDArray, seed: int) -> NDArray[np.float32]:
    """Return (N, C): a fifth of the images share a hidden severity, so that diseases occur together; the first class
    is present where no other is."""
    random = np.random.default_rng(seed)
    severity = random.normal(size=(images, 1))
    threshold = np.quantile(random.normal(size=100_000), 1 - np.minimum(prevalences[1:], 0.5))
    diseases = 0.6 * severity + 0.8 * random.normal(size=(images, len(prevalences) - 1)) > threshold
    return np.column_stack([~diseases.any(axis=1), diseases]).astype(np.float32)


def made_up_truth(images: int, classes: tuple[str, ...], prevalences: NDArray, per_patient: int = 3) -> Truth:
    """Return labels of patients with about `per_patient` images each."""
    patients = np.random.default_rng(1).integers(max(1, images // per_patient), size=images)
    ids = np.array([f"{place:06d}.png" for place in range(images)])
    return Truth(ids, np.array([f"p{number}" for number in patients]), classes, made_up_labels(images, prevalences, 2))


def made_up_probabilities(truth: Truth, prevalences: NDArray, seed: int, level: float, way: str = "l1") -> NDArray:
    """Return (N, C): the logit of the prevalence, a signal times g(level), and noise of the seed and of the level.

    g is 1 until a knee and falls to 0 at 1; the knee of rare classes comes earlier, and under random pruning all do.
    """
    random = np.random.default_rng([seed, round(100 * level), way != "l1"])
    knee = np.clip(0.72 + 0.12 * np.log10(prevalences / 0.01), 0.3, 0.97) - (0.3 if way != "l1" else 0)
    fading = np.clip((1 - level) / (1 - knee), 0, 1)
    own = np.random.default_rng([7, seed]).normal(size=truth.labels.shape)
    noise = 0.9 * own + (0.1 + 0.2 * level) * random.normal(size=truth.labels.shape)
    logits = np.log(prevalences / (1 - prevalences)) + 2.5 * truth.labels * fading + noise
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def write_made_up(path: Path, truth: Truth, prevalences: NDArray, seed: int, ways: tuple[str, ...] = ("l1",)) -> None:
    """Write the predictions of one seed, compressed in all ways."""
    with write_predictions(path, truth.classes) as writer:
        for way in ways:
            for level in LEVELS if way == ways[0] else LEVELS[1:]:
                model = DENSE if level == 0 else way
                scores = made_up_probabilities(truth, prevalences, seed, float(level), way)
                writer.append(model, seed, float(level), truth.image_ids.tolist(), scores)


def training_labels(images: int, prevalences: NDArray) -> NDArray[np.float32]:
    """Return (M, C) of another made-up train split."""
    return made_up_labels(images, prevalences, 3)


def made_up_way(values: NDArray, resamples: int = 3, noise: float = 0.0, classes: tuple[str, ...] = ()) -> WayMeasures:
    """Return measures (S, K, C) of every metric, whose resamples are they themselves with some noise."""
    seeds, levels, count = values.shape
    shape = (seeds, resamples, levels, count)
    resampled = values[:, None] + noise * np.random.default_rng(0).normal(size=shape)
    return WayMeasures(
        "l1",
        tuple(range(seeds)),
        classes or tuple(f"class {place}" for place in range(count)),
        np.linspace(0, 1, levels, endpoint=False),
        dict.fromkeys(METRICS, values),
        dict.fromkeys(RESAMPLED, resampled.astype(np.float32)),
    )
