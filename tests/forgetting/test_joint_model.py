"""The joint model finds planted coefficients, equals statsmodels, and says nothing where it can't."""

import numpy as np
import pytest
import statsmodels.api as sm

from cxrflow.forgetting.dissimilarity import ClassPairs, Relations, pair_places
from cxrflow.forgetting.joint_model import R_SQUARED, TERMS, design, fit, joint_model, t_statistics
from cxrflow.forgetting.settings import ForgettingSettings

SETTINGS = ForgettingSettings(resamples=100, permutations=400)


def made_up_pairs(classes: int, noise: float, interaction: float = 0.0, resamples: int = 100) -> ClassPairs:
    """Return pairs with FCD = 0.2 + 0.3 difference - 0.5 overlap + interaction x both + noise."""
    rng = np.random.default_rng(0)
    count = len(pair_places(classes)[0])
    height = rng.normal(size=classes)
    first, second = pair_places(classes)
    related = Relations(np.abs(height[first] - height[second]), rng.uniform(0, 0.7, count))
    mean = design(related) @ [0.2, 0.3, -0.5, interaction]
    distance = mean + noise * rng.normal(size=count)
    tiled = Relations(*(np.tile(side, (resamples, 1)) for side in (related.frequency_difference, related.iou_root)))
    resampled = mean + noise * rng.normal(size=(resamples, count))
    return ClassPairs(np.arange(classes), 0, distance, distance**2, related, resampled, tiled)


def test_coefficients_and_t_equal_statsmodels() -> None:
    pairs = made_up_pairs(8, 0.1)
    expected = sm.OLS(pairs.distance, design(pairs.related)).fit()
    found = fit(design(pairs.related), pairs.distance)
    np.testing.assert_allclose(found, [*expected.params, expected.rsquared])
    np.testing.assert_allclose(t_statistics(design(pairs.related), pairs.distance[None])[0], expected.tvalues)


def test_planted_effects_are_found_with_interval_and_p() -> None:
    rows = {row.term: row for row in joint_model(made_up_pairs(12, 0.02, interaction=0.4), SETTINGS)}
    for term, planted in zip(TERMS, (0.2, 0.3, -0.5, 0.4), strict=True):
        assert rows[term].value == pytest.approx(planted, abs=0.05)
        assert rows[term].low < rows[term].high
    assert rows["frequency_difference"].p < 0.01
    assert rows["interaction"].p < 0.05
    assert rows[R_SQUARED].value > 0.9
    assert np.isnan(rows[R_SQUARED].p)


def test_too_few_pairs_or_equal_classes_have_no_model() -> None:
    for pairs in (made_up_pairs(3, 0.1), made_up_pairs(2, 0.1)):
        assert all(np.isnan(row.value) for row in joint_model(pairs, SETTINGS))
    same = made_up_pairs(6, 0.1)
    flat = Relations(np.zeros_like(same.distance), same.related.iou_root)
    assert np.isnan(fit(design(flat), same.distance)).all()
    assert np.isnan(fit(design(same.related), np.zeros_like(same.distance))).all()


def test_pairs_that_a_resample_lacks_are_left_out_there() -> None:
    pairs = made_up_pairs(8, 0.01)
    pairs.resampled_distance[:, :5] = np.nan
    rows = {row.term: row for row in joint_model(pairs, SETTINGS)}
    assert rows["frequency_difference"].low == pytest.approx(0.3, abs=0.05)
