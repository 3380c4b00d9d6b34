"""Ranks by hand, whatever the order of rows; duplicated texts; ties; what chance gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cxrflow import retrieval
from cxrflow.retrieval import AT, chance_of_rank, diagonal_ranks, mean_recall, ranks, recalls
from cxrflow.retrieval_measures import to_images, to_reports


def unit(rows: int, seed: int, width: int = 6) -> NDArray[np.float32]:
    """Random unit vectors."""
    values = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def by_hand(query: NDArray, gallery: NDArray, own: NDArray) -> float:
    """The rank of the best own candidate, ties shared."""
    similarity = gallery @ query
    best = similarity[own].max()
    others = similarity[~own]
    return float(1 + (others > best + 1e-6).sum() + 0.5 * (np.abs(others - best) <= 1e-6).sum())


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 30), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_ranks_equal_their_definition(seed: int, queries: int, candidates: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    one, gallery = unit(queries, seed), unit(candidates, seed + 1)
    gallery[candidates // 2 :] = gallery[: candidates - candidates // 2]  # equal rows: ties
    query_group, gallery_group = rng.integers(0, groups, queries), rng.integers(0, groups, candidates)
    found = ranks(one, gallery, query_group, gallery_group)
    for query, group, rank in zip(one, query_group, found, strict=True):
        own = gallery_group == group
        assert np.isnan(rank) if not own.any() else rank == pytest.approx(by_hand(query, gallery, own))


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_no_order_of_rows_changes_a_rank(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, texts = unit(20, seed), unit(8, seed + 1)[rng.integers(0, 8, 20)]
    study = rng.integers(0, 12, 20)
    before = ranks(images, texts, study, study)
    order = rng.permutation(20)
    np.testing.assert_allclose(ranks(images, texts[order], study, study[order]), before)
    np.testing.assert_allclose(ranks(images[order], texts, study[order], study), before[order])


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images, texts, group = unit(50, 1), unit(50, 2), np.arange(50) // 2
    whole, diagonal = ranks(images, texts, group, group), diagonal_ranks(images, texts)
    monkeypatch.setattr(retrieval, "_CELLS", 170)
    np.testing.assert_array_equal(ranks(images, texts, group, group), whole)
    np.testing.assert_array_equal(diagonal_ranks(images, texts), diagonal)


def test_a_duplicated_report_is_found_whichever_copy_comes_first() -> None:
    """Two images with one text: by the diagonal each competes with the other's copy, by group neither does."""
    images = unit(4, 3)
    texts = images.copy()
    texts[1] = texts[0]
    group = np.array([0, 0, 1, 2])
    assert ranks(images[:1], texts, group[:1], group)[0] == 1
    np.testing.assert_array_equal(ranks(images, images, np.arange(4), np.arange(4)), 1)
    everything_equal = np.tile(images[:1], (4, 1))
    assert diagonal_ranks(everything_equal, everything_equal).tolist() == [1, 1, 1, 1], "ties are won as released"
    np.testing.assert_allclose(ranks(everything_equal, everything_equal, np.arange(4), np.arange(4)), 2.5)


@pytest.mark.parametrize("at", [1, 5, 10])
def test_chance_is_what_random_embeddings_reach(at: int) -> None:
    gallery_group = np.array([0] * 6 + [1] * 3 + list(range(2, 33)))
    query_group = np.array([0, 1, 2] * 2000)
    expected = chance_of_rank(query_group, gallery_group, at)
    hits = []
    for seed in range(20):
        rank = ranks(unit(300, seed, 40), unit(40, seed + 500, 40), query_group[:300], gallery_group)
        hits.append(recalls(rank, [at])[f"recall@{at}"].reshape(-1, 3).mean(axis=0))
    np.testing.assert_allclose(np.mean(hits, axis=0), expected[:3], atol=0.03)


def test_chance_by_hand() -> None:
    """One of 40 within the first 10: 1/4. Two of four within the first: 1/2. More draws than candidates: certain."""
    assert chance_of_rank(np.array([7]), np.arange(40), 10)[0] == pytest.approx(0.25)
    assert chance_of_rank(np.array([1]), np.array([1, 1, 2, 3]), 1)[0] == pytest.approx(0.5)
    assert chance_of_rank(np.array([1]), np.array([1, 2, 3]), 10)[0] == pytest.approx(1.0)
    assert chance_of_rank(np.array([9]), np.array([1, 2, 3]), 2)[0] == pytest.approx(0.0)


def test_the_mean_recall_is_one_where_every_pair_is_alike_and_small_where_pairs_are_mixed_up() -> None:
    vectors, alone = unit(200, 3), np.arange(200)
    assert mean_recall(vectors, vectors, alone) == 1
    assert mean_recall(vectors, unit(200, 4), alone) < 5 * np.mean(AT) / 200


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_a_report_counts_once_and_radiographs_that_share_it_are_all_hits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, images, texts = rng.integers(0, 8, 20), unit(20, seed), unit(8, seed + 1)
    reports, studies = texts[groups], np.arange(20) // 2
    forwards, backwards = to_reports(images, reports, groups), to_images(images, reports, groups, studies)
    unique = np.unique(groups)
    for image, group, rank in zip(images, groups, forwards.rank, strict=True):
        assert rank == pytest.approx(by_hand(image, texts[unique], unique == group))
    assert backwards.queries.tolist() == [*range(0, 20, 2)]
    for place, rank in zip(backwards.queries, backwards.rank, strict=True):
        assert rank == pytest.approx(by_hand(reports[place], images, groups == groups[place]))
    assert forwards.chance[0] == pytest.approx(1 / len(unique))
    twice = forwards.measures(np.full((1, 20), 2.0))
    for metric, hits in recalls(forwards.rank).items():
        assert twice[metric].value == pytest.approx(hits.mean())
        assert twice[metric].resampled[0] == pytest.approx(hits.mean())
