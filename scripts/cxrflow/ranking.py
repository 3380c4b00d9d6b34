"""AUROC, average precision and F1 of one class from one sort of its scores: sums over its few positives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """The examples of one class sorted once, best score first, and its steps: the m distinct scores of positives.

    Examples without a known outcome (NaN) take no part. AUROC, average precision and F1 change at steps only, so that
    each is a sum over steps, exact with ties.
    """

    order: NDArray[np.intp]
    """(n,) examples with a known outcome, by descending score."""
    truth: NDArray[np.bool_]
    """(n,) their outcomes in that order."""
    scores: NDArray
    """(m,) distinct scores of positives, descending."""
    ends: NDArray[np.intp]
    """(m,) how many examples score at least as high."""
    hits: NDArray[np.intp]
    """(m,) how many of these are positives."""
    tied: NDArray[np.intp]
    """(m,) negatives of exactly this score."""

    @classmethod
    def of(cls, outcome: ArrayLike, score: ArrayLike) -> "Ranking":
        """Sort the scores (N,) of outcomes (N,) that are 1, 0 or NaN (not known)."""
        truth, values = np.ascontiguousarray(outcome), np.ascontiguousarray(score)
        unknown = np.isnan(truth)
        if np.isnan(values).any():
            raise ValueError("scores contain NaN")
        order = np.argsort(-values)
        order = order[~unknown[order]] if unknown.any() else order
        positive, values = truth[order] > 0, values[order]
        ends = np.flatnonzero(np.r_[values[1:] != values[:-1], True]) + 1 if len(order) else np.zeros(0, np.intp)
        hits = np.cumsum(positive, dtype=np.intp)[ends - 1]
        own = np.diff(hits, prepend=0)
        tied, step = np.diff(ends, prepend=0) - own, own > 0
        return cls(order, positive, values[ends[step] - 1], ends[step], hits[step], tied[step])

    @property
    def positives(self) -> int:
        """Number of positives."""
        return int(self.hits[-1]) if len(self.hits) else 0

    @property
    def one_outcome(self) -> bool:
        """Whether there are only positives or only negatives, so that no metric has a value."""
        return self.positives in (0, len(self.order))

    def auroc(self) -> float:
        """Return the area under the ROC curve; NaN where there is one outcome."""
        if self.one_outcome:
            return np.nan
        negatives = len(self.order) - self.positives
        below = negatives - (self.ends - self.hits) + 0.5 * self.tied
        return float((np.diff(self.hits, prepend=0) * below).sum() / (self.positives * negatives))

    def average_precision(self) -> float:
        """Return the area under the precision-recall curve as a step function; NaN where there is one outcome."""
        if self.one_outcome:
            return np.nan
        return float((np.diff(self.hits, prepend=0) * (self.hits / self.ends)).sum() / self.positives)

    def best_threshold(self) -> float:
        """Return the score from which on to predict the class so that F1 is highest (the higher score of equals)."""
        if self.one_outcome:
            return np.nan
        return float(self.scores[np.argmax(2 * self.hits / (self.ends + self.positives))])


def class_aurocs(truth: NDArray, scores: NDArray) -> Floats:
    """Return the AUROC (C,) of each class from truth (N, C), 1, 0 or NaN, and scores (N, C); NaN with one outcome."""
    return np.array([Ranking.of(*columns).auroc() for columns in zip(truth.T, scores.T, strict=True)])


def mean_auroc(truth: NDArray, scores: NDArray) -> float:
    """Return the mean AUROC over the classes that have both outcomes; NaN where none has."""
    areas = class_aurocs(truth, scores)
    return float(np.nanmean(areas)) if np.isfinite(areas).any() else np.nan


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient; NaN where there is nothing to divide by."""
    return np.divide(numerator, denominator, out=np.full(np.shape(denominator), np.nan), where=denominator > 0)
