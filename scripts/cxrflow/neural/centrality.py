"""The most central node of a graph, by betweenness (Brandes' algorithm in igraph), ties always settled alike."""

from collections.abc import Sequence

import igraph
import numpy as np
from numpy.typing import NDArray


def betweenness(nodes: int, edges: Sequence[tuple[int, int]] | NDArray) -> NDArray[np.float64]:
    """Return how many shortest paths between other nodes pass each node of an undirected graph.

    Not normalised; rounded to 6 decimals, so that equally central nodes are equal.
    """
    if len(edges) < 2:
        return np.zeros(nodes)
    graph = igraph.Graph(n=nodes, edges=np.asarray(edges, dtype=np.int64).reshape(-1, 2).tolist())
    return np.round(graph.betweenness(directed=False), 6)


def hub(nodes: int, edges: Sequence[tuple[int, int]] | NDArray) -> int:
    """Return the most central node; among equals the one with the lowest number, -1 where there are no nodes.

    Number the nodes by importance: where no shortest path has an inner node all are equal, and node 0 is taken.
    """
    return int(np.argmax(betweenness(nodes, edges))) if nodes else -1
