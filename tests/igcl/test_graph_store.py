"""The store comes back from its file; several become one; a study finds its graph."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.igcl.made_up_graphs import edges_of, store_of, stores

from cxrflow.errors import UserError
from cxrflow.igcl.graph_store import GraphStore, joined
from cxrflow.ragged import offsets, owners, ranges


def phrases(store: GraphStore) -> list[str]:
    return [store.vocabulary[word] for word in store.words]


@given(stores)
def test_the_file_holds_everything_and_nothing_pickled(
    tmp_path_factory: pytest.TempPathFactory, store: GraphStore
) -> None:
    path = tmp_path_factory.mktemp("store") / "graphs.npz"
    store.save(path)
    found = GraphStore.load(path)
    assert found.vocabulary == store.vocabulary
    for name in ("study_ids", "labels", "words", "tokens", "node_offsets", "edges", "kinds", "edge_offsets"):
        np.testing.assert_array_equal(getattr(found, name), getattr(store, name))
        assert getattr(found, name).dtype == getattr(store, name).dtype


@given(st.lists(stores, min_size=1, max_size=4))
def test_joined_stores_keep_every_graph(parts: list[GraphStore]) -> None:
    whole = joined(parts)
    assert phrases(whole) == [phrase for part in parts for phrase in phrases(part)]
    expected = [edges_of(part, graph) for part in parts for graph in range(len(part))]
    assert [edges_of(whole, graph) for graph in range(len(whole))] == expected
    assert whole.sizes.tolist() == [size for part in parts for size in part.sizes.tolist()]
    assert len(set(whole.vocabulary)) == len(whole.vocabulary)


def test_a_study_finds_its_graph_and_one_without_is_an_error() -> None:
    store = store_of([(1, []), (0, []), (2, [(0, 1, 2)])])
    assert store.rows(["s2", "s0", "s2"]).tolist() == [2, 0, 2]
    with pytest.raises(UserError, match="1 of 2 studies have no report graph"):
        store.rows(["s0", "elsewhere"])


@given(st.lists(st.integers(0, 4)))
def test_flat_lists_begin_where_the_one_before_ends(sizes: list[int]) -> None:
    starts = offsets(sizes)
    assert np.diff(starts).tolist() == sizes
    assert owners(starts).tolist() == [number for number, size in enumerate(sizes) for _ in range(size)]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4))))
def test_ranges_are_those_of_python(parts: list[tuple[int, int]]) -> None:
    starts, counts = (np.array(each, dtype=np.int64) for each in (zip(*parts, strict=True) if parts else ((), ())))
    assert ranges(starts, counts).tolist() == [at for start, count in parts for at in range(start, start + count)]


def test_all_graphs_of_mimic_cxr_take_less_than_200_megabytes() -> None:
    graphs = 200  # of 27 entities and 18 relations, as RadGraph's are on average
    store = store_of([(27, [(node, node + 1, node % 3) for node in range(18)])] * graphs)
    assert store.nbytes / graphs * 220_763 < 200e6
