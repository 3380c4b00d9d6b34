"""How far exemplars hang on the seeds, the share and the level."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from cxrflow.forgetting.ensembles import Ensembles
from cxrflow.forgetting.exemplar_stability import chance_jaccard, jaccard, seed_halves, sensitivity, stability
from cxrflow.forgetting.predictions import Truth
from cxrflow.forgetting.settings import ExemplarSettings

CLASSES = ("Edema", "Hernia", "Mass", "Nodule")
LEVELS = np.array([0, 0.5, 0.9])


def ensembles_of(seeds: int, shared: float, images: int = 80) -> Ensembles:
    """Return seeds whose change by compression is the same in all (`shared` 1) or each one's own (0)."""
    generator = np.random.default_rng(4)
    whole = np.repeat(generator.random((1, images, len(CLASSES))), seeds, axis=0)
    change, own = generator.normal(size=whole[:1].shape), generator.normal(size=whole.shape)
    moved = whole + shared * change + (1 - shared) * own
    along = np.stack([whole.sum(axis=0), (whole + (moved - whole) / 5).sum(axis=0), moved.sum(axis=0)])
    stacks = whole.astype(np.float32), moved.astype(np.float32)
    return Ensembles(np.arange(seeds), LEVELS, 0.9, along, *stacks)


def truth_of(images: int = 80) -> Truth:
    labels = np.random.default_rng(0).integers(2, size=(images, len(CLASSES))).astype(np.float32)
    ids = np.array([f"{number:03d}" for number in range(images)])
    return Truth(ids, ids, CLASSES, labels)


def test_the_jaccard_index_is_shared_over_all() -> None:
    first, second = np.array([1, 1, 1, 0, 0], dtype=bool), np.array([0, 1, 1, 1, 0], dtype=bool)
    assert jaccard(first, second) == 0.5
    assert np.isnan(jaccard(np.zeros(3, dtype=bool), np.zeros(3, dtype=bool)))


def test_chance_is_the_mean_over_all_pairs_of_sets() -> None:
    sets = [set(each) for each in combinations(range(6), 2)]
    mean = np.mean([len(a & b) / len(a | b) for a in sets for b in sets])
    assert chance_jaccard(6, 2) == pytest.approx(mean)
    assert chance_jaccard(6, 6) == pytest.approx(1)
    assert np.isnan(chance_jaccard(6, 0))


@pytest.mark.parametrize(("seeds", "pairs"), [(1, 0), (2, 1), (3, 3), (4, 3), (5, 15), (6, 10)])
def test_few_seeds_have_each_pair_of_halves_once(seeds: int, pairs: int) -> None:
    halves = seed_halves(seeds, 50, 0)
    assert halves.shape == (pairs, 2, seeds)
    assert (halves.sum(axis=1) <= 1).all()  # no seed is in both halves
    assert (halves.sum(axis=2) == seeds // 2).all()
    assert len({frozenset(tuple(half) for half in pair.tolist()) for pair in halves}) == pairs


def test_many_seeds_have_random_halves() -> None:
    halves = seed_halves(30, 50, 0)
    assert halves.shape == (50, 2, 30)
    assert comb(30, 15) // 2 > 50
    assert (halves.sum(axis=1) == 1).all()
    assert not np.array_equal(halves, seed_halves(30, 50, 1))


def test_what_all_seeds_lose_alike_is_stable_and_what_each_loses_alone_is_not() -> None:
    settings = ExemplarSettings(share=0.1)
    alike, alone = (stability(ensembles_of(6, shared), truth_of(), settings, 0) for shared in (1.0, 0.0))
    assert alike.jaccard.value == alike.correlation.value == 1
    assert alone.jaccard.value < 0.5
    assert alone.jaccard.low <= alone.jaccard.value <= alone.jaccard.high
    assert (alone.halves, alone.seeds) == (10, 3)


def test_one_seed_has_no_stability_and_one_pair_of_halves_no_interval() -> None:
    one, two = (stability(ensembles_of(seeds, 0.5), truth_of(), ExemplarSettings(), 0) for seeds in (1, 2))
    assert np.isnan([*one.jaccard, *one.correlation]).all()
    assert one.halves == 0
    assert not np.isnan(two.jaccard.value)
    assert np.isnan([two.jaccard.low, two.jaccard.high]).all()


def test_the_chosen_share_and_level_agree_with_themselves_and_other_sizes_have_a_ceiling() -> None:
    settings = ExemplarSettings(share=0.1, shares=(0.05, 0.1, 0.2))
    found = {(each.level, each.share): each for each in sensitivity(ensembles_of(3, 0.5), truth_of(), settings)}
    assert set(found) == {(level, share) for level in LEVELS[1:] for share in settings.shares}
    assert found[0.9, 0.1].jaccard == found[0.9, 0.1].correlation == 1
    # Exemplars of one level are nested, so only the sizes differ: 4 and 16 against 8.
    assert found[0.9, 0.05].jaccard == found[0.9, 0.05].largest == 0.5
    assert found[0.9, 0.2].jaccard == 0.5
    assert all(each.jaccard <= each.largest for each in found.values())
