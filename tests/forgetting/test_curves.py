"""Forgettability curves by hand: relative change, the first drop, censored classes, resamples of seeds and patients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.forgetting.made_up import made_up_way

from cxrflow.forgetting.curves import (
    drop_estimate,
    first_drop,
    forgettability_curves,
    median_over,
    relative_change,
    seed_draws,
)
from cxrflow.forgetting.settings import ForgettingSettings

LEVELS = np.array([0, 0.5, 0.7, 0.9])


def test_relative_change_by_hand() -> None:
    change = relative_change(np.array([[0.4, 0.5], [0.3, 0.5], [0.1, 0.6]]))
    np.testing.assert_allclose(change, [[0, 0], [-0.25, 0], [-0.75, 0.2]])


def test_first_drop_is_the_smallest_level_below_the_threshold() -> None:
    curves = np.array(
        [[0, 0, 0, 0], [-0.1, -0.3, -0.2, np.nan], [-0.25, -0.1, -0.2, np.nan], [-0.9, -0.5, -0.2, np.nan]]
    )
    drops = first_drop(LEVELS, curves, 0.2)
    np.testing.assert_array_equal(drops, [0.7, 0.5, np.inf, np.nan])  # exactly -20 % is not below it


@given(st.lists(st.floats(-1, 0.5), min_size=3, max_size=3), st.floats(0.05, 0.4), st.floats(0.05, 0.4))
def test_a_larger_drop_comes_no_earlier(curve: list[float], one: float, other: float) -> None:
    curves = np.array([0, *curve])[:, None]
    smaller, larger = sorted((one, other))
    assert first_drop(LEVELS, curves, smaller) <= first_drop(LEVELS, curves, larger)


def test_the_curve_is_the_median_over_seeds() -> None:
    values = np.array([[[0.5], [0.4]], [[0.5], [0.3]], [[0.2], [0.1]]])  # relative: -20 %, -40 %, -50 %
    curves = forgettability_curves(made_up_way(values, resamples=2), ForgettingSettings(resamples=100))
    np.testing.assert_allclose(curves.values[:, 0], [0, -0.4])
    np.testing.assert_allclose(curves.final, [-0.4])
    np.testing.assert_allclose(curves.drops, [0.5])


def test_a_class_without_a_value_has_no_drop() -> None:
    values = np.array([[[0.5, np.nan], [0.4, np.nan]]])
    curves = forgettability_curves(made_up_way(values, resamples=2), ForgettingSettings())
    np.testing.assert_array_equal(np.isnan(curves.drops), [False, True])
    assert np.isinf(curves.drops[0])


def test_each_resample_takes_its_own_patients_of_the_seeds_it_drew() -> None:
    resampled = np.arange(6.0).reshape(2, 3)  # seeds x resamples
    np.testing.assert_array_equal(median_over(resampled, np.array([[0, 0], [0, 1], [1, 1]])), [0, 2.5, 5])


def test_one_seed_is_drawn_every_time() -> None:
    assert (seed_draws(1, 50, 0) == 0).all()
    drawn = seed_draws(4, 500, 0)
    assert set(drawn.ravel()) == {0, 1, 2, 3}


def test_the_interval_of_a_first_drop_ends_at_levels_and_tells_how_often_there_is_none() -> None:
    resampled = np.r_[np.full(50, 0.5), np.full(44, 0.7), np.full(6, np.inf)]
    assert drop_estimate(0.5, resampled) == pytest.approx((0.5, 0.5, np.nan, 0.06), nan_ok=True)
    assert drop_estimate(0.5, resampled[:94]) == (0.5, 0.5, 0.7, 0)
    never = drop_estimate(np.inf, np.full(10, np.inf))
    assert never == pytest.approx((np.nan, np.nan, np.nan, 1), nan_ok=True)


def test_a_class_that_most_resamples_lack_has_no_interval() -> None:
    found = drop_estimate(0.5, np.r_[np.full(6, np.nan), np.full(4, 0.5)])
    assert found == pytest.approx((0.5, np.nan, np.nan, np.nan), nan_ok=True)
