"""Linear probes: what a linear classifier reads from embeddings that stay as they are."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def probe_scores(train: Floats, truth: NDArray, test: Floats, iterations: int = 1000) -> Floats:
    """Return scores (M, C) of test embeddings (M, D) by one balanced logistic regression per label.

    `train` is (N, D), `truth` (N, C) of 0, 1 or NaN (unknown, left out). L2 penalty with C = 1, solver lbfgs, no
    randomness. NaN for a label that has one outcome in training.
    """
    from sklearn.linear_model import LogisticRegression  # 2 s, and what imports this module may never probe

    scores = np.full((len(test), truth.shape[1]), np.nan, dtype=np.float32)
    for label, outcome in enumerate(truth.T):
        known = ~np.isnan(outcome)
        if len(np.unique(outcome[known])) == 2:
            probe = LogisticRegression(class_weight="balanced", max_iter=iterations)
            scores[:, label] = probe.fit(train[known], outcome[known]).decision_function(test)
    return scores
