"""Batches of fused graphs: rows of the flat arrays become padded tensors, built once and used in every epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxrflow.neural.gnn import block_diagonal, normalised, standardised
from cxrflow.neural.graphs import GRID_EDGES, Graphs, kept_betweenness
from cxrflow.neural.report_graphs import ReportGraphs
from cxrflow.neural.settings import PATCHES
from cxrflow.neural.variants import Variant
from cxrflow.ragged import alike_together, ranges
from cxrflow.training import this_device

NEIGHBOURS = np.zeros((PATCHES, PATCHES), dtype=np.float32)
NEIGHBOURS[GRID_EDGES[:, 0], GRID_EDGES[:, 1]] = 1
NEIGHBOURS[GRID_EDGES[:, 1], GRID_EDGES[:, 0]] = 1

GRID_HUB = int(kept_betweenness(np.arange(PATCHES)[None]).argmax())
"""The most central patch of the whole grid: the first of its four middle ones."""

STORED_BYTES = 1 << 30
"""Batches of one variant and split up to this size stay in memory; the others are built anew in every epoch."""

GraphBatch = dict[str, Tensor]


@dataclass(frozen=True)
class SplitGraphs:
    """One split of the graphs: rows of `graphs`, their exported features (n, 144, d) float16 and targets (n, C).

    Batches are made in the precision in which they are multiplied, so that no step has to convert them.
    """

    graphs: Graphs
    rows: NDArray[np.int64]
    features: NDArray[np.float16]
    targets: Tensor
    precision: torch.dtype = torch.float32

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def entity_width(self) -> int:
        """Width of the entities' vectors."""
        return next(iter(self.graphs.reports.values())).vectors.shape[1]

    def batch(self, places: NDArray[np.int64], variant: Variant) -> GraphBatch:
        """Return the graphs of `places` (positions in this split) as padded tensors, as GraphClassifier reads them."""
        rows = self.rows[places]
        patches, edges, hubs = self._patches(places, variant)
        reports = None if variant.input == "image" else self.graphs.reports[variant.text]
        entities, sizes = _entities(reports, rows) if reports else self._no_entities(rows)
        adjacency = _square(edges, variant.kept + entities.shape[1])
        if reports:
            _join(adjacency, _relations(reports, rows, variant.kept))
            _join(adjacency, _fusion(reports, rows, hubs, variant.kept))
        real = np.arange(adjacency.shape[1]) < (variant.kept + sizes)[:, None]
        share = real / np.maximum(real.sum(axis=1, keepdims=True), 1)
        batch = {
            "patches": standardised(torch.from_numpy(patches).float()),
            "entities": torch.from_numpy(entities),
            "adjacency": self._fastest(normalised(torch.from_numpy(adjacency))),
            "share": torch.from_numpy(share),
        }
        ready = {name: tensor.to(self.precision) for name, tensor in batch.items()}
        return ready | {"targets": self.targets[torch.from_numpy(places)]}

    def _fastest(self, adjacency: Tensor) -> Tensor:
        """Return adjacencies as the hardware multiplies them fastest: a processor skips the zeros of sparse matrices,
        but not in bf16; a GPU has no need to, and its sparse products don't promise the same sums every time."""
        sparse = self.precision == torch.float32 and this_device().type == "cpu"
        return block_diagonal(adjacency) if sparse else adjacency

    def _no_entities(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return np.zeros((len(rows), 0, self.entity_width), dtype=np.float32), np.zeros(len(rows), dtype=np.int64)

    def sizes(self, variant: Variant) -> NDArray[np.int64]:
        """Return how many nodes each graph has beyond the patches, (n,)."""
        if variant.input == "image":
            return np.zeros(len(self), dtype=np.int64)
        return np.diff(self.graphs.reports[variant.text].node_offsets)[self.rows]

    def _patches(self, places: NDArray[np.int64], variant: Variant) -> tuple[NDArray, NDArray, NDArray]:
        """Return features (B, K, d) of kept patches, their edges (B, K, K) and their hub's position (B,)."""
        if (ranking := variant.ranking) is None:
            edges = np.broadcast_to(
                NEIGHBOURS[: variant.kept, : variant.kept], (len(places), variant.kept, variant.kept)
            )
            return self.features[places, : variant.kept], edges, np.full(len(places), GRID_HUB)
        rows = self.rows[places]
        order = self.graphs.orders[ranking][rows, : variant.kept].astype(np.int64)
        share = int(np.flatnonzero(self.graphs.percentiles == variant.kept_percent)[0])
        hubs = self.graphs.hubs[ranking][rows, share].astype(np.int64)
        return self.features[places[:, None], order], NEIGHBOURS[order[:, :, None], order[:, None, :]], hubs


@dataclass(frozen=True)
class StoredBatches:
    """Batches of given graphs (positions in the split), each built when first read and kept while there is room."""

    data: SplitGraphs
    variant: Variant
    places: Sequence[NDArray[np.int64]]
    _stored: dict[int, GraphBatch] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number: int) -> GraphBatch:
        if number in self._stored:
            return self._stored[number]
        batch = self.data.batch(self.places[number], self.variant)
        if sum(map(_bytes, self._stored.values())) + _bytes(batch) <= STORED_BYTES:
            self._stored[number] = batch
        return batch

    def __iter__(self) -> Iterator[GraphBatch]:
        return (self[number] for number in range(len(self)))


def in_order(data: SplitGraphs, variant: Variant, size: int) -> StoredBatches:
    """Return every graph once, in order."""
    return StoredBatches(data, variant, np.split(np.arange(len(data)), range(size, len(data), size)))


@dataclass(frozen=True)
class ShuffledGraphs:
    """Training batches: who shares one is drawn once, from the seed; their order anew in every epoch."""

    batches: StoredBatches
    seed: int

    @classmethod
    def of(cls, data: SplitGraphs, variant: Variant, size: int, seed: int) -> "ShuffledGraphs":
        """Draw the batches; reports of like size share one."""
        order = alike_together(np.random.default_rng(seed).permutation(len(data)), data.sizes(variant), size)
        return cls(StoredBatches(data, variant, np.split(order, range(size, len(order), size))), seed)

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, number: int) -> Iterator[GraphBatch]:
        """Yield one epoch in a fresh order."""
        for batch in np.random.default_rng([self.seed, number]).permutation(len(self.batches)).tolist():
            yield self.batches[batch]


def _entities(reports: ReportGraphs, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return entity vectors (B, E, e), E the most of any report (at least 1) and 0 beyond its own, and counts (B,)."""
    counts = np.diff(reports.node_offsets)[rows]
    known = np.arange(counts.max(initial=1)) < counts[:, None]
    vectors = np.zeros((*known.shape, reports.vectors.shape[1]), dtype=np.float32)
    vectors[known] = reports.vectors[reports.nodes[ranges(reports.node_offsets[rows], counts)]]
    return vectors, counts


def _relations(reports: ReportGraphs, rows: NDArray[np.int64], kept: int) -> tuple[NDArray, NDArray, NDArray]:
    """Return (graph, node, node) of each relation, entities numbered after the patches."""
    counts = np.diff(reports.edge_offsets)[rows]
    edges = reports.edges[ranges(reports.edge_offsets[rows], counts)].astype(np.int64)
    return np.repeat(np.arange(len(rows)), counts), kept + edges[:, 0], kept + edges[:, 1]


def _fusion(
    reports: ReportGraphs, rows: NDArray[np.int64], hubs: NDArray[np.int64], kept: int
) -> tuple[NDArray, NDArray, NDArray]:
    """Return (graph, patch, entity): the one edge that joins the hubs where both graphs have nodes."""
    entity_hubs = reports.hubs[rows].astype(np.int64)
    graph = np.flatnonzero((entity_hubs >= 0) & (kept > 0))
    return graph, hubs[graph], kept + entity_hubs[graph]


def _square(edges: NDArray[np.float32], nodes: int) -> NDArray[np.float32]:
    """Return adjacencies (B, nodes, nodes) with those of the first nodes, and no other edges."""
    adjacency = np.zeros((len(edges), nodes, nodes), dtype=np.float32)
    adjacency[:, : edges.shape[1], : edges.shape[1]] = edges
    return adjacency


def _join(adjacency: NDArray[np.float32], pairs: tuple[NDArray, NDArray, NDArray]) -> None:
    graph, first, second = pairs
    adjacency[graph, first, second] = adjacency[graph, second, first] = 1


def _bytes(batch: GraphBatch) -> int:
    parts = [tensor.values() if tensor.layout == torch.sparse_csr else tensor for tensor in batch.values()]
    return sum(part.nbytes for part in parts)
