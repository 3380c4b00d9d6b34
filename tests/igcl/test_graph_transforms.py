"""Virtual nodes: counted by hand, by formula, and against networkx graph by graph."""

from itertools import permutations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.igcl.made_up_graphs import Edge, edges_of, features_of, store_of, stores

from cxrflow.igcl.graph_settings import GraphSettings
from cxrflow.igcl.graph_store import VIRTUAL, VIRTUAL_RELATION, GraphStore
from cxrflow.igcl.graph_transforms import components, transformed

TRANSFORMS = ("none", "dummy", "meta", "reaction")
TWO_PAIRS = (4, [(0, 1, 0), (2, 3, 1)])
TWO_PAIRS_AND_ONE = (5, [(0, 1, 0), (2, 3, 1)])


def counts(store: GraphStore) -> list[tuple[int, int]]:
    return list(zip(store.sizes.tolist(), np.diff(store.edge_offsets).tolist(), strict=True))


def test_two_pairs_and_a_lone_entity_become_nine_nodes_and_eighteen_edges() -> None:
    assert counts(transformed(store_of([TWO_PAIRS_AND_ONE]), GraphSettings())) == [(9, 18)]


def test_the_legacy_gate_leaves_two_pairs_apart_and_ours_joins_them() -> None:
    store = store_of([TWO_PAIRS, TWO_PAIRS_AND_ONE, (3, [(0, 1, 0), (1, 2, 0)]), (1, []), (0, [])])
    legacy = counts(transformed(store, GraphSettings(gate="legacy")))
    ours = counts(transformed(store, GraphSettings()))
    assert legacy == [(4, 2), (9, 18), (3, 2), (1, 0), (0, 0)]
    assert ours == [(7, 2 + 8 + 4), (9, 18), (3, 2), (1, 0), (0, 0)]


def test_the_ends_of_each_virtual_edge_by_hand() -> None:
    found = transformed(store_of([(1, []), TWO_PAIRS]), GraphSettings())
    joined = [(0, 4), (1, 4), (2, 5), (3, 5), (4, 6), (5, 6)]
    expected = [*joined, *((b, a) for a, b in joined)]
    assert edges_of(found, 1) == [(0, 1, 0), (2, 3, 1), *((a, b, VIRTUAL_RELATION) for a, b in expected)]
    assert edges_of(found, 0) == []


@given(stores)
def test_reaction_nodes_by_formula(store: GraphStore) -> None:
    parts, found = components(store), transformed(store, GraphSettings())
    for (before, edges), (after, more), many in zip(counts(store), counts(found), parts.counts.tolist(), strict=True):
        if many > 1:
            assert (after, more) == (before + many + 1, edges + 2 * before + 2 * many)
        else:
            assert (after, more) == (before, edges)


@given(stores, st.sampled_from(TRANSFORMS), st.sampled_from(["components", "legacy"]))
def test_every_transform_equals_the_one_made_graph_by_graph_with_networkx(
    store: GraphStore, transform: str, gate: str
) -> None:
    found = transformed(store, GraphSettings.model_validate({"transform": transform, "gate": gate}))
    for number, size in enumerate(store.sizes.tolist()):
        nodes, edges = slowly(size, edges_of(store, number), transform, gate)
        assert found.sizes[number] == nodes
        assert sorted(edges_of(found, number)) == sorted(edges)


def slowly(size: int, edges: list[Edge], transform: str, gate: str) -> tuple[int, list[Edge]]:
    """Return the nodes and edges of one graph with its virtual ones."""
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from(range(size))
    graph.add_edges_from((source, target) for source, target, _ in edges)
    parts = sorted(nx.connected_components(graph), key=min)
    lone = any(len(part) == 1 for part in parts)
    if transform == "none" or len(parts) < 2 or (gate == "legacy" and not lone):
        return size, edges
    if transform == "dummy":
        pairs = [(node, size) for node in range(size)]
        return size + 1, [*edges, *virtual(pairs)]
    pairs = [(node, size + number) for number, part in enumerate(parts) for node in part]
    middle = range(size, size + len(parts))
    if transform == "meta":
        clique = [(a, b, VIRTUAL_RELATION) for a, b in permutations(middle, 2)]
        return size + len(parts), [*edges, *virtual(pairs), *clique]
    return size + len(parts) + 1, [*edges, *virtual([*pairs, *((node, size + len(parts)) for node in middle)])]


def virtual(pairs: list[tuple[int, int]]) -> list[Edge]:
    return [(a, b, VIRTUAL_RELATION) for pair in pairs for a, b in (pair, pair[::-1])]


@given(stores, st.sampled_from(TRANSFORMS))
def test_entities_keep_their_place_label_and_words_and_virtual_nodes_have_no_features(
    store: GraphStore, transform: str
) -> None:
    found = transformed(store, GraphSettings.model_validate({"transform": transform}))
    for number, size in enumerate(store.sizes.tolist()):
        start, before = found.node_offsets[number], store.node_offsets[number]
        for name in ("labels", "words", "tokens"):
            old, new = getattr(store, name), getattr(found, name)
            assert new[start : start + size].tolist() == old[before : before + size].tolist()
        assert (found.labels[start + size : found.node_offsets[number + 1]] == VIRTUAL).all()
    assert not features_of(found).of(np.flatnonzero(found.labels == VIRTUAL)).any()


@given(stores)
def test_reversed_relations_have_numbers_of_their_own(store: GraphStore) -> None:
    once = transformed(store, GraphSettings(transform="dummy"))
    both = transformed(store, GraphSettings(transform="dummy", both_directions=True))
    for number in range(len(store)):
        expected = [(b, a, kind + 4) for a, b, kind in edges_of(store, number)]
        assert sorted(edges_of(both, number)) == sorted([*edges_of(once, number), *expected])


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_store_without_graphs_stays_one(transform: str) -> None:
    assert len(transformed(store_of([]), GraphSettings.model_validate({"transform": transform}))) == 0
