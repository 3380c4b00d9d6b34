"""Intervals of AUROCs against the released way: a ROC curve per label of every resample."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc, roc_curve

from benchmarks.timing import Comparison
from cxrflow.metrics import interval, resample_weights
from cxrflow.ranking import Ranking
from cxrflow.resampled_areas import resampled_areas

IMAGES, LABELS, RESAMPLES = 500, 6, 1000


def comparison() -> Comparison:
    """Return 1,000 resamples of 500 patients with one image each, six labels."""
    random = np.random.default_rng(0)
    outcome = (random.random((IMAGES, LABELS)) < 0.3).astype(np.float32)
    score = outcome + random.normal(size=outcome.shape).astype(np.float32)
    patients = np.arange(IMAGES)

    def ours() -> list[tuple[float, float]]:
        drawn = np.ascontiguousarray(resample_weights(patients, RESAMPLES, 0).T, dtype=np.float32)
        rankings = [Ranking.of(*columns) for columns in zip(outcome.T, score.T, strict=True)]
        found = [interval(one.auroc(), resampled_areas(one, patients, drawn)[0]) for one in rankings]
        return [(one.low, one.high) for one in found]

    def reference() -> list[tuple[float, float]]:
        rows = [random.choice(IMAGES, IMAGES) for _ in range(RESAMPLES)]
        areas = np.array([_areas(outcome[row], score[row]) for row in rows])
        return [(low, high) for low, high in np.percentile(areas, [2.5, 97.5], axis=0).T]

    np.testing.assert_allclose(ours(), reference(), atol=0.01)
    return Comparison(f"{RESAMPLES:,} resamples of {LABELS} AUROCs", ours, reference, goal=100, repeats=1)


def _areas(outcome: NDArray, score: NDArray) -> list[float]:
    curves = [roc_curve(*columns) for columns in zip(outcome.T, score.T, strict=True)]
    return [float(auc(false, true)) for false, true, _ in curves]
