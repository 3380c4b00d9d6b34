"""One seed's measures: each level and class by itself, the dense model's, resamples of patients, and the file."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from tests.forgetting.made_up import LEVELS, made_up_truth, write_made_up

from cxrflow.errors import UserError
from cxrflow.forgetting.measures import (
    METRICS,
    RESAMPLED,
    SeedMeasures,
    by_way,
    gather,
    load_measures,
    measure_seed,
    save_measures,
    validated_thresholds,
)
from cxrflow.forgetting.predictions import Truth, read_seed
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.metrics import average_precision, resample_weights

CLASSES = ("No Finding", "Effusion", "Hernia", "Never Seen")
PREVALENCES = np.array([0.5, 0.2, 0.05, 0.01])
SETTINGS = ForgettingSettings(resamples=100)


@pytest.fixture(scope="module")
def truth() -> Truth:
    found = made_up_truth(300, CLASSES, PREVALENCES)
    found.labels[:, 3] = 0
    return found


@pytest.fixture(scope="module")
def predictions(truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seed") / "predictions.parquet"
    write_made_up(path, truth, PREVALENCES, 4, ("l1", "random"))
    return path


@pytest.fixture(scope="module")
def measured(truth: Truth, predictions: Path) -> list[SeedMeasures]:
    return measure_seed([predictions], truth, ("l1", "random"), SETTINGS, [0.5, 0.2, np.nan, 0.5])


def test_every_level_and_class_equals_scikit_learn(
    truth: Truth, predictions: Path, measured: list[SeedMeasures]
) -> None:
    found = measured[1]
    assert (found.way, found.seed, found.classes) == ("random", 4, CLASSES)
    np.testing.assert_allclose(found.levels, LEVELS)
    scores = read_seed([predictions], "random", truth.image_ids.tolist()).probabilities
    for level, place in [(0, 0), (3, 1), (len(LEVELS) - 1, 2)]:
        own, labels = scores[level, :, place], truth.labels[:, place]
        values = [found.values[metric][level, place] for metric in ("auroc", "auprc", "f1")]
        expected = [roc_auc_score(labels, own), average_precision_score(labels, own), f1_score(labels, own > 0.5)]
        assert values == pytest.approx(expected, abs=1e-12)


def test_the_uncompressed_model_is_the_same_in_all_ways(measured: list[SeedMeasures]) -> None:
    for metric in METRICS:
        np.testing.assert_array_equal(*(found.values[metric][0] for found in measured))
    assert (measured[0].values["auprc"][5] != measured[1].values["auprc"][5])[:3].all()


def test_a_class_without_positives_has_no_value_and_one_without_threshold_no_validated_f1(
    measured: list[SeedMeasures],
) -> None:
    for metric in METRICS:
        assert np.isnan(measured[0].values[metric][:, 3]).all()
    validated = measured[0].values["f1_validated"]
    assert np.isnan(validated[:, 2]).all()
    np.testing.assert_allclose(validated[:, 0], measured[0].values["f1"][:, 0])
    assert np.isnan(measured[0].resampled["auprc"][..., 3]).all()


def test_resamples_draw_patients(truth: Truth, predictions: Path, measured: list[SeedMeasures]) -> None:
    weights = resample_weights(truth.patient_ids, SETTINGS.resamples, SETTINGS.seed)
    scores = read_seed([predictions], "l1", truth.image_ids.tolist()).probabilities[4, :, 1]
    expected = average_precision(truth.labels[:, 1], scores, weights)
    np.testing.assert_allclose(measured[0].resampled["auprc"][:, 4, 1], expected, rtol=1e-5)


def test_labels_that_are_not_known_take_no_part(truth: Truth, predictions: Path) -> None:
    half = truth.labels.copy()
    half[::2, 1] = np.nan
    partly = Truth(truth.image_ids, truth.patient_ids, truth.classes, half)
    few = Truth(truth.image_ids[1::2], truth.patient_ids[1::2], truth.classes, truth.labels[1::2])
    whole, alone = (measure_seed([predictions], which, ["l1"], SETTINGS)[0] for which in (partly, few))
    np.testing.assert_allclose(whole.values["auroc"][:, 1], alone.values["auroc"][:, 1])


def test_the_order_of_the_images_changes_nothing(truth: Truth, predictions: Path, measured: list[SeedMeasures]) -> None:
    order = np.random.default_rng(0).permutation(len(truth.image_ids))
    shuffled = Truth(truth.image_ids[order], truth.patient_ids[order], truth.classes, truth.labels[order])
    again = measure_seed([predictions], shuffled, ["l1"], SETTINGS)[0]
    np.testing.assert_allclose(again.values["auprc"], measured[0].values["auprc"], rtol=1e-12)
    np.testing.assert_allclose(again.resampled["auroc"], measured[0].resampled["auroc"], rtol=1e-5)


def test_thresholds_are_the_best_of_the_split_they_are_found_on(truth: Truth, predictions: Path) -> None:
    thresholds = validated_thresholds([predictions], truth)
    dense = read_seed([predictions], "l1", truth.image_ids.tolist(), [0.0]).probabilities[0]
    found = measure_seed([predictions], truth, ["l1"], SETTINGS, thresholds)[0].values["f1_validated"][0]
    for place in range(3):
        others = [f1_score(truth.labels[:, place], dense[:, place] >= cut) for cut in np.linspace(0.01, 0.99, 50)]
        assert found[place] >= max(others) - 1e-12
    assert np.isnan(thresholds[3])


def test_the_file_holds_what_was_measured(tmp_path: Path, measured: list[SeedMeasures]) -> None:
    save_measures(tmp_path / "seed.npz", measured)
    for stored, found in zip(load_measures(tmp_path / "seed.npz"), measured, strict=True):
        assert (stored.way, stored.seed, stored.classes) == (found.way, found.seed, found.classes)
        np.testing.assert_array_equal(stored.levels, found.levels)
        for metric in METRICS:
            np.testing.assert_array_equal(stored.values[metric], found.values[metric])
        for metric in RESAMPLED:
            np.testing.assert_array_equal(stored.resampled[metric], found.resampled[metric])


def test_equal_measures_are_equal_bytes(tmp_path: Path, measured: list[SeedMeasures]) -> None:
    for name in ("a.npz", "b.npz"):
        save_measures(tmp_path / name, measured)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def other_seed(measured: SeedMeasures, seed: int, levels: int | None = None) -> SeedMeasures:
    return SeedMeasures(
        measured.way, seed, measured.classes, measured.levels[:levels], measured.values, measured.resampled
    )


def test_seeds_are_put_together_in_their_order_by_way(tmp_path: Path, measured: list[SeedMeasures]) -> None:
    for seed in (9, 2):
        save_measures(tmp_path / f"{seed}.npz", [other_seed(found, seed) for found in measured])
    ways = by_way([tmp_path / "9.npz", tmp_path / "2.npz"])
    assert list(ways) == ["l1", "random"]
    assert ways["l1"].seeds == (2, 9)
    assert ways["l1"].values["auprc"].shape == (2, len(LEVELS), 4)
    assert ways["l1"].resampled["auprc"].shape == (2, 100, len(LEVELS), 4)


def test_seeds_that_differ_are_refused(measured: list[SeedMeasures]) -> None:
    for other in (other_seed(measured[0], 5, levels=3), other_seed(measured[0], 4), measured[1]):
        with pytest.raises(UserError, match="put together"):
            gather([measured[0], other])


def test_predictions_of_other_classes_are_refused(truth: Truth, predictions: Path) -> None:
    renamed = Truth(truth.image_ids, truth.patient_ids, ("No Finding", "Effusion", "Hernia", "Mass"), truth.labels)
    with pytest.raises(UserError, match="Mass, Never Seen"):
        measure_seed([predictions], renamed, ["l1"], SETTINGS)
