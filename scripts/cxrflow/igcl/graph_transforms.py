"""Virtual nodes that join the parts of disconnected graphs, for all graphs of a store at once, once and for all.

A virtual node has no features; its edges go both ways and have a type of their own.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cxrflow.igcl.graph_settings import GraphSettings
from cxrflow.igcl.graph_store import REVERSED, VIRTUAL, VIRTUAL_RELATION, GraphStore
from cxrflow.ragged import offsets, owners, ranges


@dataclass(frozen=True)
class Components:
    """Connected parts of every graph, numbered within it by their first node; a node without relations is one."""

    counts: NDArray[np.int64]
    """(G,); 0 for a graph without nodes."""
    of_node: NDArray[np.int64]
    """(N,): the part of its graph that a node belongs to."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of nodes to be joined: the graph of each, and its nodes, numbered within the graph."""

    graph: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]


def transformed(store: GraphStore, settings: GraphSettings) -> GraphStore:
    """Return the graphs as the encoder reads them: with virtual nodes, and with reversed relations if wanted.

    A graph of n > 1 nodes in C > 1 parts gets, by `transform`: dummy, 1 node and 2n edges; meta, C nodes and
    2n + C(C-1) edges (the released code added two self loops to each of them); reaction, C + 1 nodes and 2n + 2C edges.
    All others, those without nodes among them, stay as they are.
    """
    if settings.transform != "none":
        parts = components(store)
        counts = np.where(_chosen(store, parts, settings.gate), parts.counts, 0)
        added, pairs = _JOINS[settings.transform](store, parts, counts)
        store = _joined_by(_with_nodes(store, added), pairs)
    return with_reversed(store) if settings.both_directions else store


def components(store: GraphStore) -> Components:
    """Return the connected parts of all graphs, edges taken as undirected."""
    nodes, graph = len(store.labels), owners(store.node_offsets)
    source, target = _global_edges(store)
    matrix = coo_array((np.ones(len(source), dtype=np.int8), (source, target)), shape=(nodes, nodes))
    _, found = connected_components(matrix, directed=False)
    _, first, number = np.unique(found, return_index=True, return_inverse=True)
    # By their first node, which scipy does not promise: then those of a graph follow each other.
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    counts = np.bincount(graph[first], minlength=len(store))
    return Components(counts, rank[number] - offsets(counts)[graph])


def with_reversed(store: GraphStore) -> GraphStore:
    """Add the other direction of each relation, with a number of its own; virtual edges go both ways already."""
    real = np.flatnonzero(store.kinds < VIRTUAL_RELATION)
    kinds = (store.kinds[real] + REVERSED).astype(np.uint8)
    return _with_edges(store, owners(store.edge_offsets)[real], store.edges[real, ::-1], kinds)


def _chosen(store: GraphStore, parts: Components, gate: str) -> NDArray[np.bool_]:
    """Return which graphs get virtual nodes, (G,)."""
    several = parts.counts > 1
    if gate == "components":
        return several
    related = np.zeros(len(store.labels), dtype=bool)
    for ends in _global_edges(store):
        related[ends] = True
    alone = np.bincount(owners(store.node_offsets)[~related], minlength=len(store))
    return several & (alone > 0)


def _dummy(store: GraphStore, parts: Components, counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], Pairs]:
    """Return how many nodes each graph gets, and what is joined: every node with the one that is added."""
    graph, node = _nodes_of(store, counts > 0)
    return (counts > 0).astype(np.int64), Pairs(graph, node, store.sizes[graph])


def _meta(store: GraphStore, parts: Components, counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], Pairs]:
    """Join every node with that of its part, and these with each other."""
    graph, part = owners(offsets(counts)), ranges(np.zeros_like(counts), counts)
    later = counts[graph] - 1 - part
    first, second = np.repeat(part, later), ranges(part + 1, later)
    pair_graph = np.repeat(graph, later)
    size = store.sizes[pair_graph]
    return counts, _both(_with_parts(store, parts, counts), Pairs(pair_graph, size + first, size + second))


def _reaction(store: GraphStore, parts: Components, counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], Pairs]:
    """Join every node with that of its part, and these with one more."""
    graph, part = owners(offsets(counts)), ranges(np.zeros_like(counts), counts)
    size = store.sizes[graph]
    hub = Pairs(graph, size + part, size + counts[graph])
    return np.where(counts > 0, counts + 1, 0), _both(_with_parts(store, parts, counts), hub)


_JOINS = {"dummy": _dummy, "meta": _meta, "reaction": _reaction}


def _with_parts(store: GraphStore, parts: Components, counts: NDArray[np.int64]) -> Pairs:
    """Return each node of the chosen graphs with the virtual node of its part."""
    graph, node = _nodes_of(store, counts > 0)
    part = parts.of_node[store.node_offsets[graph] + node]
    return Pairs(graph, node, store.sizes[graph] + part)


def _nodes_of(store: GraphStore, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the graph of each node of the chosen graphs, and its number there."""
    sizes = np.where(chosen, store.sizes, 0)
    return owners(offsets(sizes)), ranges(np.zeros_like(sizes), sizes)


def _both(one: Pairs, other: Pairs) -> Pairs:
    return Pairs(*(np.concatenate([getattr(one, name), getattr(other, name)]) for name in vars(one)))


def _with_nodes(store: GraphStore, added: NDArray[np.int64]) -> GraphStore:
    """Append so many virtual nodes to each graph, (G,)."""
    starts = offsets(store.sizes + added)
    place = ranges(starts[:-1], store.sizes)

    def spread(old: NDArray, nothing: int) -> NDArray:
        found = np.full(starts[-1], nothing, dtype=old.dtype)
        found[place] = old
        return found

    labels, words, tokens = spread(store.labels, VIRTUAL), spread(store.words, -1), spread(store.tokens, -1)
    return replace(store, labels=labels, words=words, tokens=tokens, node_offsets=starts)


def _joined_by(store: GraphStore, pairs: Pairs) -> GraphStore:
    """Join pairs of nodes in both directions."""
    ends = np.stack([pairs.first, pairs.second], axis=1).astype(np.int32)
    kinds = np.full(2 * len(ends), VIRTUAL_RELATION, dtype=np.uint8)
    return _with_edges(store, np.tile(pairs.graph, 2), np.concatenate([ends, ends[:, ::-1]]), kinds)


def _with_edges(
    store: GraphStore, graph: NDArray[np.int64], edges: NDArray[np.int32], kinds: NDArray[np.uint8]
) -> GraphStore:
    """Append edges (m, 2) of the given graphs (m,), each to those that its graph has."""
    everyone = np.concatenate([owners(store.edge_offsets), graph])
    order = np.argsort(everyone, kind="stable")
    return replace(
        store,
        edges=np.concatenate([store.edges, edges])[order],
        kinds=np.concatenate([store.kinds, kinds])[order],
        edge_offsets=offsets(np.bincount(everyone, minlength=len(store))),
    )


def _global_edges(store: GraphStore) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return source and target of each edge, nodes numbered through the whole store."""
    start = store.node_offsets[owners(store.edge_offsets)]
    return start + store.edges[:, 0], start + store.edges[:, 1]
