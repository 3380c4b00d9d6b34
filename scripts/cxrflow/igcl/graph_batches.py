"""Batches of report graphs as tensors, cut out of the flat arrays without a loop over graphs.

A batch is a mapping of tensors. With M nodes and E edges in B graphs of at most n nodes:
- nodes (M, d) float32: what is read of each node, graph after graph; graph (M,): the graph of each
- mask (B, n): true where a graph has a node; place (M,): where each node is in it, row by row
- edges (2, E): source and target; relations (E,): the number of each relation; both sorted by relation, then target
- targets_r, starts_r: the nodes that a relation of number r leads to, and where the sources of each begin in sources_r
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxrflow.igcl.graph_store import GraphStore
from cxrflow.igcl.node_features import NodeFeatures
from cxrflow.ragged import offsets, owners, ranges

GraphBatch = dict[str, Tensor]


@dataclass(frozen=True)
class GraphReader:
    """The graphs of a store with what is read of their nodes; only the rows of a batch are read from the disk."""

    store: GraphStore
    features: NodeFeatures

    @classmethod
    def open(cls, store: Path, vectors: Path) -> "GraphReader":
        """Open what `build_graph_store` wrote."""
        graphs = GraphStore.load(store)
        return cls(graphs, NodeFeatures.open(graphs, vectors))

    def batch(self, rows: NDArray[np.int64]) -> GraphBatch:
        """Return the graphs of `rows` (B,), which may name one several times; graphs of like size need least padding.

        The tensors don't share a first dimension: where a batch is to be divided, divide its rows.
        """
        starts = offsets(self.store.sizes[rows])
        nodes = ranges(self.store.node_offsets[rows], np.diff(starts))
        graph, mask = owners(starts), _mask(np.diff(starts))
        arrays = {
            "nodes": self.features.of(nodes),
            "graph": graph,
            "mask": mask,
            "place": graph * mask.shape[1] + np.arange(len(nodes)) - starts[graph],
            **_relations(self.store, rows, starts),
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _mask(sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (B, n): where graphs have nodes; n is 1 at least."""
    return np.arange(max(1, sizes.max(initial=1))) < sizes[:, None]


def _relations(store: GraphStore, rows: NDArray[np.int64], starts: NDArray[np.int64]) -> dict[str, NDArray]:
    """Return the edges of graphs whose nodes begin at `starts` (B + 1,) in the batch, by relation and target."""
    counts = np.diff(store.edge_offsets)[rows]
    places = ranges(store.edge_offsets[rows], counts)
    edges = store.edges[places] + np.repeat(starts[:-1], counts)[:, None]
    kinds = store.kinds[places].astype(np.int64)
    order = np.argsort(kinds * (starts[-1] + 1) + edges[:, 1], kind="stable")
    edges, kinds = edges[order], kinds[order]
    found = {"edges": np.ascontiguousarray(edges.T), "relations": kinds}
    borders = np.searchsorted(kinds, np.arange(store.relations + 1))
    for relation, (start, stop) in enumerate(pairwise(borders.tolist())):
        source, target = found["edges"][:, start:stop]
        first = np.flatnonzero(np.diff(target, prepend=-1))
        found |= {f"sources_{relation}": source, f"starts_{relation}": first, f"targets_{relation}": target[first]}
    return found
