"""Matthews' correlation against scikit-learn, with weights as repeated rows; thresholds by trying all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import matthews_corrcoef

from cxrflow.matthews import best_threshold, matthews, matthews_as_released

CASES = st.tuples(st.integers(0, 10_000), st.integers(2, 40))


def made_up(seed: int, count: int) -> tuple[NDArray, NDArray, NDArray]:
    """Outcomes of both kinds, scores with ties, and weights of a few resamples, the first of them all ones."""
    rng = np.random.default_rng(seed)
    outcome = rng.permutation(np.r_[0.0, 1.0, rng.integers(0, 2, count - 2)])
    weights = np.concatenate([np.ones((1, count)), rng.integers(0, 3, (4, count))])
    return outcome, rng.integers(0, 8, count) / 8 + outcome / 4, weights


def released(outcome: NDArray, score: NDArray) -> float:
    """As many of the highest scores as there are positives, ties with the last of them included."""
    limit = np.sort(score)[::-1][int(outcome.sum()) - 1]
    return float(matthews_corrcoef(outcome, score >= limit))


@given(CASES)
@settings(max_examples=80, deadline=None)
def test_correlations_are_those_of_scikit_learn_on_repeated_rows(case: tuple[int, int]) -> None:
    outcome, score, weights = made_up(*case)
    predicted = score >= 0.5
    found, as_released = matthews(predicted, outcome, weights), matthews_as_released(outcome, score, weights)
    for row, one, other in zip(weights.astype(int), found, as_released, strict=True):
        again = np.repeat(np.arange(len(outcome)), row)
        if len(set(outcome[again])) < 2:
            assert np.isnan(one)
            assert np.isnan(other)
            continue
        assert one == pytest.approx(matthews_corrcoef(outcome[again], predicted[again]), abs=1e-12)
        assert other == pytest.approx(released(outcome[again], score[again]), abs=1e-12)


@given(CASES)
@settings(max_examples=80, deadline=None)
def test_no_threshold_has_a_higher_correlation(case: tuple[int, int]) -> None:
    outcome, score, _ = made_up(*case)
    every = [float(matthews(score >= limit, outcome)[0]) for limit in np.unique(score)]
    chosen = best_threshold(outcome, score)
    assert chosen in score
    assert float(matthews(score >= chosen, outcome)[0]) == pytest.approx(max(every))


def test_one_outcome_has_neither_threshold_nor_correlation() -> None:
    scores = np.array([0.1, 0.2, 0.3])
    assert np.isnan(best_threshold(np.ones(3), scores))
    assert np.isnan(matthews(scores > 0.1, np.zeros(3))).all()
    assert np.isnan(matthews_as_released(np.ones(3), scores)).all()


def test_perfect_and_inverted_predictions_are_one_and_minus_one() -> None:
    outcome = np.array([0.0, 1.0, 1.0, 0.0])
    assert matthews(outcome > 0, outcome)[0] == pytest.approx(1)
    assert matthews(outcome == 0, outcome)[0] == pytest.approx(-1)
    assert matthews(np.ones(4, dtype=bool), outcome)[0] == 0
