"""Probes read what is linearly there, weigh both outcomes alike, and say nothing where there is nothing to learn."""

import numpy as np

from cxrflow.metrics import auroc
from cxrflow.probe import probe_scores


def test_a_probe_reads_what_is_there_and_only_that() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(600, 8)).astype(np.float32)
    truth = np.stack([embeddings[:, 0] > 1.5, rng.random(600) < 0.3], axis=1).astype(np.float32)
    scores = probe_scores(embeddings[:400], truth[:400], embeddings[400:])
    assert auroc(truth[400:, 0], scores[:, 0])[0] > 0.98
    assert 0.35 < auroc(truth[400:, 1], scores[:, 1])[0] < 0.65
    assert (scores[:, 0] > 0).mean() > 0.05, "a rare finding is predicted, since both outcomes weigh alike"


def test_labels_of_one_outcome_have_no_score_and_unknown_ones_take_no_part() -> None:
    rng = np.random.default_rng(1)
    embeddings = rng.normal(size=(50, 3)).astype(np.float32)
    half = (embeddings[:, 0] > 0).astype(np.float32)
    hidden = np.where(np.arange(50) < 10, np.nan, half)
    scores = probe_scores(embeddings, np.stack([np.zeros(50), hidden, half], axis=1), embeddings)
    assert np.isnan(scores[:, 0]).all()
    expected = probe_scores(embeddings[10:], half[10:, None], embeddings)
    np.testing.assert_allclose(scores[:, 1:2], expected)
