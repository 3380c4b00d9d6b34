"""Findings on the test split: by prompts (zero-shot) and by a linear probe of the embeddings."""

import numpy as np
from numpy.typing import NDArray

from cxrflow.label_measures import label_areas
from cxrflow.patchib.exported import Exported, TestSet
from cxrflow.patchib.measures import Key, Measures
from cxrflow.probe import probe_scores

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
            areas = label_areas(test.truth, values, test.labels, test.patient, test.drawn)
            found |= {Key(export.model, task, embedding, *name): number for name, number in areas.items()}
    return found


def zero_shot_scores(images: NDArray, prompts: NDArray) -> NDArray:
    """Return (N, C): how much closer images (N, D) are to the prompts (templates, C, 2, D) for a finding than against.

    Embeddings of templates are averaged and brought to unit length. The difference of the two cosines ranks images as
    their softmax does.
    """
    mean = prompts.mean(axis=0)
    mean /= np.linalg.norm(mean, axis=-1, keepdims=True)
    return images @ (mean[:, 0] - mean[:, 1]).T
