"""Pairs of classes: distances and overlaps by hand, by the defined and by the released formulas, and Mantel's test."""

import numpy as np
import pytest

from cxrflow.forgetting.curves import Curves
from cxrflow.forgetting.dissimilarity import (
    ClassPairs,
    class_pairs,
    overlaps,
    pair_correlation,
    permuted_distances,
    relations,
)
from cxrflow.forgetting.settings import ForgettingSettings

SETTINGS = ForgettingSettings(resamples=100, permutations=500)


def made_up_curves(values: np.ndarray) -> Curves:
    """Return curves (K, C) whose resamples are they themselves."""
    nothing = np.full(values.shape[1], np.nan)
    return Curves(
        np.arange(len(values)) / 10, values, np.tile(values, (100, 1, 1)), nothing, np.tile(nothing, (100, 1))
    )


@pytest.fixture
def toy() -> np.ndarray:
    """Two classes that always occur together in 10 images, and a third in 5 of these."""
    labels = np.ones((10, 3))
    labels[5:, 2] = 0
    return labels


def test_the_golden_toy_by_both_formulas(toy: np.ndarray) -> None:
    counts = overlaps(toy, np.arange(10), SETTINGS).counts
    defined, released = relations(counts), relations(counts, legacy=True)
    assert defined.iou_root[0] == 1  # always together
    assert defined.frequency_difference[0] == 0
    assert released.iou_root[0] ** 4 == pytest.approx(0.25)
    assert counts.sum(axis=1)[0] == 25  # what is taken for the frequency of a class with 10 images
    np.testing.assert_allclose(defined.iou_root[1:] ** 4, 0.5)
    np.testing.assert_allclose(defined.frequency_difference[1:], np.log(2))
    np.testing.assert_allclose(released.frequency_difference[1:], np.log(25 / 15))


def test_distance_is_euclidean_over_levels_above_none(toy: np.ndarray) -> None:
    values = np.array([[9, 0, 0], [0, -0.3, 0], [0, -0.4, 0.0]])  # level 0 has no part, whatever it holds
    pairs = class_pairs(made_up_curves(values), overlaps(toy, np.arange(10), SETTINGS))
    np.testing.assert_allclose(pairs.distance, [0.5, 0, 0.5])
    np.testing.assert_allclose(pairs.mean_square, [0.125, 0, 0.125])
    np.testing.assert_allclose(pairs.resampled_distance, np.tile(pairs.distance, (100, 1)))


def test_classes_without_positives_or_curve_are_left_out_and_counted(toy: np.ndarray) -> None:
    labels = np.column_stack([toy, np.zeros(10)])
    values = np.array([[0, 0, 0, 0], [-0.1, -0.2, np.nan, -0.5]])
    pairs = class_pairs(made_up_curves(values), overlaps(labels, np.arange(10), SETTINGS))
    assert pairs.classes.tolist() == [0, 1]
    assert pairs.left_out == 2
    assert len(pairs.distance) == 1


def test_overlaps_of_resamples_move_with_patients(toy: np.ndarray) -> None:
    one = overlaps(toy, np.zeros(10), SETTINGS)
    np.testing.assert_array_equal(one.resampled, np.tile(one.counts, (100, 1, 1)))
    many = overlaps(toy, np.arange(10), SETTINGS)
    assert (many.resampled[:, 0, 0] == 10).all()
    assert np.ptp(many.resampled[:, 2, 2]) > 0


def test_a_class_that_a_resample_lacks_has_no_relations_there() -> None:
    found = relations(np.array([[[4.0, 2, 0], [2, 4, 0], [0, 0, 0]]]))
    np.testing.assert_array_equal(np.isnan(found.iou_root), [[False, True, True]])
    np.testing.assert_array_equal(np.isnan(found.frequency_difference), [[False, True, True]])


def related_pairs(classes: int, seed: int, planted: bool) -> ClassPairs:
    """Return pairs of classes whose curves lie where their frequencies do, or anywhere."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.02, 0.5, classes)
    labels = (rng.random((600, classes)) < share).astype(float)
    height = np.log(share) if planted else rng.normal(size=classes)
    values = np.stack([np.zeros(classes), 0.1 * height, 0.3 * height])
    return class_pairs(made_up_curves(values), overlaps(labels, np.arange(600), SETTINGS))


def test_curves_that_follow_frequency_are_found() -> None:
    row = pair_correlation("pearson", related_pairs(10, 0, planted=True), "frequency_difference", SETTINGS)
    assert row.value > 0.9
    assert row.p < 0.01
    assert row.slope > 0
    assert (row.n_classes, row.n_left_out) == (10, 0)


def test_mantels_p_of_unrelated_classes_is_uniform() -> None:
    quick = ForgettingSettings(resamples=100, permutations=100)
    found = np.array(
        [
            pair_correlation("spearman", related_pairs(8, seed, planted=False), "frequency_difference", quick).p
            for seed in range(60)
        ]
    )
    assert 0.35 < found.mean() < 0.65
    assert (found < 0.1).mean() < 0.25


def test_a_permutation_of_the_classes_permutes_their_distances() -> None:
    pairs = related_pairs(6, 1, planted=False)
    drawn = permuted_distances(pairs, SETTINGS)
    assert drawn.shape == (500, 15)
    np.testing.assert_array_equal(np.sort(drawn, axis=1), np.tile(np.sort(pairs.distance), (500, 1)))
