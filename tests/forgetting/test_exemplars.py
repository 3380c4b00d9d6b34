"""Exemplars: which images they are, how often they show what, and how far that may be trusted."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrflow.errors import UserError
from cxrflow.forgetting.ensembles import gather, seed_loaders
from cxrflow.forgetting.exemplars import (
    disease_counts,
    exemplar_count,
    find_exemplars,
    legacy_bins,
    legacy_disease_counts,
    legacy_ratios,
    members,
    ratios_of,
    resampled_ratios,
    share_ratios,
)
from cxrflow.forgetting.predictions import SeedPredictions, Truth, write_predictions
from cxrflow.forgetting.settings import ForgettingSettings

CLASSES = ("No Finding", "Edema", "Hernia", "Mass", "Nodule", "Fibrosis")


def truth_of(labels: list[list[float]], patients: list[str] | None = None) -> Truth:
    ids = np.array([f"{number:04d}.png" for number in range(len(labels))])
    owners = ids if patients is None else np.array(patients)
    return Truth(ids, owners, CLASSES[: len(labels[0])], np.array(labels, dtype=np.float32))


def made_up(seeds: int, images: int = 60, classes: int = 6, levels: tuple[float, ...] = (0, 0.5, 0.9)) -> list:
    """Return loaders of seeds that share a signal and lose it with compression."""
    signal = np.random.default_rng(0).normal(size=(images, classes))

    def load(seed: int) -> Callable[[], SeedPredictions]:
        noise = np.random.default_rng(seed + 1).normal(size=(len(levels), images, classes))
        logits = signal + noise * np.array(levels)[:, None, None]
        return lambda: SeedPredictions(seed, np.array(levels), (1 / (1 + np.exp(-logits))).astype(np.float32))

    return [load(seed) for seed in range(seeds)]


@pytest.mark.parametrize(
    ("images", "share", "count"), [(39, 0.05, 1), (40, 0.05, 2), (19, 0.05, 0), (100, 0.29, 29), (25_596, 0.05, 1_279)]
)
def test_the_number_of_exemplars_is_rounded_down(images: int, share: float, count: int) -> None:
    assert exemplar_count(images, share) == count
    assert find_exemplars(np.linspace(0, 1, images), np.arange(images), share).sum() == count


def test_images_that_agree_least_are_exemplars_and_ties_go_by_image_id() -> None:
    agreement, ids = [0.9, 0.2, 0.5, 0.5, 0.5], np.array(["a", "e", "d", "b", "c"])
    assert ids[find_exemplars(agreement, ids, 0.6)].tolist() == ["e", "b", "c"]


def test_constant_predictions_disagree_more_than_opposite_ones() -> None:
    assert find_exemplars([0.3, -1.0, np.nan], np.array(["a", "b", "c"]), 0.34).tolist() == [False, False, True]


@given(st.lists(st.sampled_from([np.nan, -0.5, 0.1, 0.1, 0.8]), min_size=2, max_size=12), st.randoms())
def test_the_order_of_rows_changes_no_exemplar(agreement: list[float], random) -> None:  # type: ignore[no-untyped-def]
    ids = np.array([f"{number:02d}" for number in range(len(agreement))])
    order = list(range(len(ids)))
    random.shuffle(order)
    chosen = set(ids[find_exemplars(agreement, ids, 0.5)])
    assert set(ids[order][find_exemplars(np.array(agreement)[order], ids[order], 0.5)]) == chosen


def test_diseases_are_positive_labels_other_than_no_finding() -> None:
    truth = truth_of([[1, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 1], [0, np.nan, 1, 0, 0, 0]])
    assert disease_counts(truth).tolist() == [0, 2, 5, 1]
    bins = members(truth)[:, len(CLASSES) :]
    assert bins.argmax(axis=1).tolist() == [0, 2, 4, 1]
    assert (bins.sum(axis=1) == 1).all()


def test_ratios_computed_by_hand() -> None:
    # Exemplars: 2 images, Edema in 1 of them; others: 4 images, Edema in 1: (1/2) / (1/4) = 2. Hernia: 2/2 over 1/3,
    # since one of the others is not known. Mass: in no other image.
    labels = [[0, 1, 1, 1], [0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [1, 0, np.nan, 0], [0, 0, 0, 0]]
    truth, chosen = truth_of(labels), np.array([[True, True, False, False, False, False]])
    found = ratios_of(truth, chosen).fixed[0]
    assert found[:4] == pytest.approx([0, 2, 3, np.nan], nan_ok=True)
    # Counts 3, 1 among exemplars; 2, 0, 0, 0 among the others: none has 1 or 3, and nobody has 4 or more.
    assert found[4:] == pytest.approx([0, np.nan, 0, np.nan, np.nan], nan_ok=True)


def test_an_image_drawn_twice_counts_twice() -> None:
    groups, chosen = np.array([[1.0], [0.0], [1.0], [0.0]]), np.array([[True, True, False, False]])
    assert share_ratios(groups, chosen)[0, 0] == 1
    assert share_ratios(groups, chosen, np.array([[3, 1, 1, 1]]))[0, 0] == pytest.approx(0.75 / 0.5)
    assert np.isnan(share_ratios(groups, chosen, np.array([[0, 0, 1, 1]]))[0, 0])


def test_the_released_counts_add_the_patient_id() -> None:
    labels = [[1, 0, 0], [0, 1, 1], [0, 1, 0]]
    found = legacy_disease_counts(truth_of(labels, ["00000001", "00000002", "00000002"]))
    assert found is not None
    assert found.tolist() == [1, 4, 3]
    assert legacy_disease_counts(truth_of(labels, ["p1", "p2", "p2"])) is None


def test_the_released_bins_are_the_four_lowest_distinct_sums_and_the_rest() -> None:
    sums = np.array([1, 2, 2, 3, 7, 9, 9, 9])
    assert legacy_bins(sums, np.ones(8)).tolist() == [1 / 8, 2 / 8, 1 / 8, 1 / 8, 3 / 8]
    assert np.isnan(legacy_bins(np.array([0, 1, 2, 3]), np.ones(4))).all()


def test_both_formulas_agree_where_ids_are_zero_and_every_count_is_there() -> None:
    counts = [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 0]
    labels = [[0.0] + [1.0] * count + [0.0] * (5 - count) for count in counts]
    truth, chosen = truth_of(labels, ["0"] * len(counts)), np.array([[True] * 6 + [False] * 6])
    found = ratios_of(truth, chosen)
    assert found.fixed[0, len(CLASSES) :] == pytest.approx(found.legacy[0])


def test_without_numeric_ids_there_is_no_released_ratio() -> None:
    assert np.isnan(legacy_ratios(None, np.array([[True, False]]))).all()


def test_the_ensemble_is_the_mean_over_seeds() -> None:
    loaders = made_up(4)
    ensembles = gather(loaders, 0.9)
    mean = np.mean([load().probabilities for load in loaders], axis=0, dtype=np.float64)
    np.testing.assert_allclose(ensembles.sums / 4, mean, atol=1e-15)
    ranks = [pd.DataFrame(part).rank(axis=1) for part in (mean[0], mean[2])]
    np.testing.assert_allclose(ensembles.at(0.9).correlation, ranks[0].corrwith(ranks[1], axis=1), atol=1e-12)


def test_seeds_drawn_once_each_give_the_ensemble_itself() -> None:
    ensembles = gather(made_up(5), 0.9)
    found = ensembles.of_seeds(np.array([[1, 1, 1, 1, 1], [2, 2, 2, 2, 2], [0, 0, 1, 0, 0]]))
    assert found[0].tolist() == found[1].tolist() == ensembles.at(0.9).correlation.tolist()
    assert found[2].tolist() == gather(made_up(5)[2:3], 0.9).at(0.9).correlation.tolist()


def test_seeds_are_read_one_after_the_other() -> None:
    alive: list[int] = []

    def load(read: Callable[[], SeedPredictions]) -> Callable[[], SeedPredictions]:
        def loader() -> SeedPredictions:
            found = read()
            alive.append(found.seed)
            return found

        return loader

    assert gather((load(read) for read in made_up(3)), 0.5).level == 0.5
    assert alive == [0, 1, 2]


def test_other_levels_the_same_seed_and_an_unknown_level_are_errors() -> None:
    with pytest.raises(UserError, match=r"asked for at 0\.8"):
        gather(made_up(2), 0.8)
    with pytest.raises(UserError, match="twice"):
        gather(made_up(1) * 2, 0.9)
    with pytest.raises(UserError, match="levels"):
        gather([*made_up(1), *made_up(2, levels=(0, 0.25, 0.9))[1:]], 0.9)
    with pytest.raises(UserError, match="no predictions"):
        gather([], 0.9)


def test_files_in_any_order_are_read_seed_by_seed(tmp_path) -> None:  # type: ignore[no-untyped-def]
    read = [load() for load in made_up(2, images=5)]
    ids = [f"{number}.png" for number in range(5)]
    for found in read:
        for part, places in (("dense", [0]), ("pruned", [1, 2])):
            with write_predictions(tmp_path / f"{found.seed}_{part}.parquet", CLASSES) as writer:
                for place in places:
                    model = "l1" if place else "dense"
                    writer.append(model, found.seed, found.levels[place], ids, found.probabilities[place])
    files = sorted(tmp_path.iterdir(), reverse=True)
    loaded = [load() for load in seed_loaders(files, "l1", ids[::-1])]
    assert [each.seed for each in loaded] == [0, 1]
    assert np.array_equal(loaded[1].probabilities, read[1].probabilities[:, ::-1])


def test_resamples_of_equal_seeds_and_single_images_vary_by_patients_alone() -> None:
    one = made_up(1)[0]()
    same = [lambda seed=seed: SeedPredictions(seed, one.levels, one.probabilities) for seed in range(4)]
    labels = np.random.default_rng(1).integers(2, size=(60, 6)).astype(float).tolist()
    settings = ForgettingSettings(resamples=100)
    truth = truth_of(labels)
    many = resampled_ratios(gather(same, 0.9), truth, 0.2, settings).fixed
    assert np.array_equal(many, resampled_ratios(gather(same[:1], 0.9), truth, 0.2, settings).fixed, equal_nan=True)
    drawn = resampled_ratios(gather(made_up(4), 0.9), truth, 0.2, settings).fixed
    assert not np.array_equal(drawn, many, equal_nan=True)


def test_resamples_do_not_hang_on_how_many_are_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(1).integers(2, size=(60, 6)).astype(float).tolist()
    truth = truth_of(labels, [str(number // 2) for number in range(60)])
    arguments = gather(made_up(3), 0.9), truth, 0.2, ForgettingSettings(resamples=100)
    whole = resampled_ratios(*arguments)
    monkeypatch.setattr("cxrflow.forgetting.exemplars._CELLS", 500)
    monkeypatch.setattr("cxrflow.forgetting.ensembles._CELLS", 500)
    blocks = resampled_ratios(*arguments)
    assert np.array_equal(whole.fixed, blocks.fixed, equal_nan=True)
    assert np.array_equal(whole.legacy, blocks.legacy, equal_nan=True)
