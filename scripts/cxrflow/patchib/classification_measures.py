"""Findings on the test split: by prompts (zero-shot) and by a linear probe of the embeddings."""

import numpy as np
from numpy.typing import NDArray

from cxrflow.measured import MEAN, Measured
from cxrflow.patchib.exported import Exported, TestSet
from cxrflow.patchib.measures import Key, Measures
from cxrflow.probe import probe_scores
from cxrflow.ranking import Ranking
from cxrflow.resampled_areas import resampled_areas

PROBE, ZERO_SHOT, ONE_PROMPT = "linear probe", "zero-shot", "zero-shot, one prompt"


def classification_measures(export: Exported, test: TestSet, train_truth: NDArray) -> Measures:
    """Return AUROC and average precision of every label and their means, for every image embedding.

    `zero-shot` compares a prompt for a finding with one against it; `one prompt` is the cosine to the first prompt for
    it alone. The probe learns from the train split's embeddings, as they are, without augmentation.
    """
    prompts = export.read("prompts")
    found: Measures = {}
    for embedding in export.embeddings():
        images = export.read(f"test/image/{embedding}")
        learnt = probe_scores(export.read(f"train/image/{embedding}"), train_truth, images)
        scores = {
            PROBE: learnt,
            ZERO_SHOT: zero_shot_scores(images, prompts),
            ONE_PROMPT: images @ prompts[0, :, 0].T,
        }
        for task, values in scores.items():
            found |= _areas(Key(export.model, task, embedding, "", ""), values, test)
    return found


def zero_shot_scores(images: NDArray, prompts: NDArray) -> NDArray:
    """Return (N, C): how much closer images (N, D) are to the prompts (templates, C, 2, D) for a finding than against.

    Embeddings of templates are averaged and brought to unit length. The difference of the two cosines ranks images as
    their softmax does.
    """
    mean = prompts.mean(axis=0)
    mean /= np.linalg.norm(mean, axis=-1, keepdims=True)
    return images @ (mean[:, 0] - mean[:, 1]).T


def _areas(key: Key, scores: NDArray, test: TestSet) -> Measures:
    """Return AUROC and average precision per label that can be scored, and their means over these labels."""
    found: Measures = {}
    for label, outcome, score in zip(test.labels, test.truth.T, scores.T, strict=True):
        if np.isnan(score).any():
            continue
        ranking = Ranking.of(outcome, score)
        if ranking.one_outcome:
            continue
        areas = resampled_areas(ranking, test.patient, test.drawn)
        share = ranking.positives / len(ranking.order)
        found[key._replace(label=label, metric="auroc")] = Measured(ranking.auroc(), areas[0], 1, 0.5)
        found[key._replace(label=label, metric="auprc")] = Measured(ranking.average_precision(), areas[1], 1, share)
    return found | _means(key, found)


def _means(key: Key, found: Measures) -> Measures:
    means: Measures = {}
    for metric in ("auroc", "auprc"):
        parts = [measured for own, measured in found.items() if own.metric == metric]
        if parts:
            resampled = np.nanmean([part.resampled for part in parts], axis=0)
            value, chance = (float(np.mean([getattr(part, name) for part in parts])) for name in ("value", "chance"))
            means[key._replace(label=MEAN, metric=metric)] = Measured(value, resampled, 1, chance)
    return means
