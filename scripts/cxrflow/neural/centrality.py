"""The most central node of each graph, by betweenness (Brandes' algorithm in igraph), ties always settled alike."""

import igraph
import numpy as np
from numpy.typing import ArrayLike, NDArray


def betweenness(nodes: int, edges: ArrayLike) -> NDArray[np.float64]:
    """Return how many shortest paths between other nodes pass each node of an undirected graph; edges are (m, 2).

    Not normalised; rounded to 6 decimals, so that equally central nodes are equal. No path joins separate graphs: many
    of them, numbered on, cost one call.
    """
    central = np.zeros(nodes)
    touched, ends = np.unique(np.asarray(edges, dtype=np.int64).reshape(-1, 2), return_inverse=True)
    if len(touched):
        graph = igraph.Graph(n=len(touched), edges=ends.reshape(-1, 2))
        central[touched] = np.round(graph.betweenness(directed=False), 6)
    return central


def hubs(offsets: NDArray[np.int64], edges: NDArray, edge_offsets: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the most central node of each graph; among equals the one with the lowest number, -1 without nodes.

    Graph i has nodes offsets[i]:offsets[i+1] and edges edge_offsets[i]:edge_offsets[i+1], numbered from 0 in each.
    Number the nodes by importance: where no shortest path has an inner node all are equal, and node 0 is taken.
    """
    shift = np.repeat(offsets[:-1], np.diff(edge_offsets))
    return first_highest(betweenness(int(offsets[-1]), edges + shift[:, None]), offsets)


def first_highest(values: NDArray, offsets: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return, for each part offsets[i]:offsets[i+1], the place of the first of its highest values; -1 if empty."""
    sizes = np.diff(offsets)
    part = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((-values, part))  # stable: equal values stay in their order
    found = np.full(len(sizes), -1, dtype=np.int32)
    filled = np.flatnonzero(sizes)
    found[filled] = order[offsets[filled]] - offsets[filled]
    return found
