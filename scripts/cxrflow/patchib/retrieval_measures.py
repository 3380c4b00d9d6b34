"""Retrieval on the test split: does a radiograph find its report among all, and a report its radiograph?"""

import numpy as np
from numpy.typing import NDArray

from cxrflow.metrics import weighted_mean, weighted_median
from cxrflow.patchib.exported import Exported, TestSet
from cxrflow.patchib.measures import Key, Measured, Measures
from cxrflow.retrieval import AT, chance_of_rank, diagonal_ranks, ranks, recalls

I2T, T2I, LEGACY = "retrieval i2t", "retrieval t2i", "retrieval {} as released"


def retrieval_measures(export: Exported, test: TestSet) -> Measures:
    """Return R@1, 5, 10, their mean, and the median rank, for every image embedding and both directions.

    A report text counts once, whoever shares it. Image to text: each radiograph looks among the different texts.
    Text to image: each study's text looks among all radiographs, and any radiograph with that text is a hit.
    """
    texts = export.read("test/text")
    found: Measures = {}
    for embedding in export.embeddings():
        images = export.read(f"test/image/{embedding}")
        found |= _measured(export.model, I2T, embedding, *_to_text(images, texts, test), test)
        found |= _measured(export.model, T2I, embedding, *_to_image(images, texts, test), test)
        found |= _legacy(export.model, embedding, images, texts, test)
    return found


def own_recalls(images: NDArray, texts: NDArray, test: TestSet) -> dict[str, NDArray[np.float64]]:
    """Return R@1, 5, 10 of radiographs that look for their text, 0 or 1 for each (N,)."""
    return recalls(_to_text(images, texts, test)[0])


def _to_text(images: NDArray, texts: NDArray, test: TestSet) -> tuple[NDArray, NDArray, NDArray]:
    """Return ranks, chance at each of `AT` (k, N), and the radiograph that each query stands for."""
    unique, first = np.unique(test.texts, return_index=True)
    chance = np.stack([chance_of_rank(test.texts, unique, at) for at in AT])
    return ranks(images, texts[first], test.texts, unique), chance, np.arange(len(images))


def _to_image(images: NDArray, texts: NDArray, test: TestSet) -> tuple[NDArray, NDArray, NDArray]:
    _, first = np.unique(test.rows["study_id"], return_index=True)
    chance = np.stack([chance_of_rank(test.texts[first], test.texts, at) for at in AT])
    return ranks(texts[first], images, test.texts[first], test.texts), chance, first


def _measured(
    model: str, task: str, embedding: str, rank: NDArray, chance: NDArray, queries: NDArray, test: TestSet
) -> Measures:
    weights = test.weights[:, queries]
    hits = recalls(rank)
    found: Measures = {}
    for (metric, values), expected in zip(hits.items(), chance.mean(axis=1), strict=True):
        key = Key(model, task, embedding, "", metric)
        found[key] = Measured(float(values.mean()), weighted_mean(values, weights), 1, float(expected))
    middle = Key(model, task, embedding, "", "median rank")
    found[middle] = Measured(float(weighted_median(rank)[0]), weighted_median(rank, weights), 1, np.nan)
    return found


def _legacy(model: str, embedding: str, images: NDArray, texts: NDArray, test: TestSet) -> Measures:
    """Return recalls as the released code counts: row i of the texts alone belongs to radiograph i."""
    found: Measures = {}
    for name, rank in (("i2t", diagonal_ranks(images, texts)), ("t2i", diagonal_ranks(texts, images))):
        for (metric, values), at in zip(recalls(rank).items(), AT, strict=True):
            key = Key(model, LEGACY.format(name), embedding, "", metric)
            chance = min(1.0, at / len(images))
            found[key] = Measured(float(values.mean()), weighted_mean(values, test.weights), 1, chance)
    return found
