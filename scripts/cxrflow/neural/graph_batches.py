"""Batches of fused graphs: rows of the flat arrays become padded tensors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxrflow.neural.graphs import GRID_EDGES, Graphs
from cxrflow.neural.settings import PATCHES

NEIGHBOURS = np.zeros((PATCHES, PATCHES), dtype=np.float32)
NEIGHBOURS[GRID_EDGES[:, 0], GRID_EDGES[:, 1]] = 1
NEIGHBOURS[GRID_EDGES[:, 1], GRID_EDGES[:, 0]] = 1


class Variant(NamedTuple):
    """One way to see a cohort: input (fused|image|text), selector, and the share of patches with its count."""

    input: str
    selector: str
    kept_percent: float
    kept: int

    @property
    def text(self) -> str:
        """Which report took part: `reference` where it is in the graph or where its words chose the patches."""
        return "reference" if self.input != "image" or self.selector == "attention" else "none"


def variants(graphs: Graphs, inputs: tuple[str, ...]) -> list[Variant]:
    """Return every variant once.

    With all patches kept there is nothing to select (selector `all`); the report alone keeps no patch (selector
    `none`, 0 per cent).
    """
    found = [Variant("text", "none", 0.0, 0)] if "text" in inputs else []
    for source in (name for name in inputs if name != "text"):
        for share, kept in zip(graphs.percentiles.tolist(), graphs.kept.tolist(), strict=True):
            selectors = ["all"] if kept == PATCHES else sorted(graphs.orders)
            found += [Variant(source, selector, share, kept) for selector in selectors]
    return found


@dataclass(frozen=True)
class SplitGraphs:
    """One split of the graphs: rows of `graphs`, their exported features (n, 144, d) float16 and targets (n, C)."""

    graphs: Graphs
    rows: NDArray[np.int64]
    features: NDArray[np.float16]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, places: NDArray[np.int64], variant: Variant) -> dict[str, Tensor]:
        """Return the graphs of `places` (positions in this split) as padded tensors."""
        rows = self.rows[places]
        order, hubs = self._patches(rows, variant)
        entities, known, edges = _entities(self.graphs, rows, variant.input != "image")
        adjacency = np.zeros(
            (len(rows), variant.kept + entities.shape[1], variant.kept + entities.shape[1]), np.float32
        )
        adjacency[:, : variant.kept, : variant.kept] = NEIGHBOURS[order[:, :, None], order[:, None, :]]
        pairs = [(edges[0], variant.kept + edges[1], variant.kept + edges[2]), self._fusion(rows, hubs, variant)]
        for graph, first, second in pairs:
            adjacency[graph, first, second] = adjacency[graph, second, first] = 1
        real = np.concatenate([np.ones(order.shape, dtype=bool), known], axis=1)
        return {
            "patches": torch.from_numpy(self.features[places[:, None], order].astype(np.float32)),
            "entities": torch.from_numpy(entities),
            "adjacency": torch.from_numpy(adjacency),
            "real": torch.from_numpy(real),
            "targets": self.targets[torch.from_numpy(places)],
        }

    def in_order(self, size: int, variant: Variant) -> Iterator[dict[str, Tensor]]:
        """Yield every graph once, in order."""
        for start in range(0, len(self), size):
            yield self.batch(np.arange(start, min(start + size, len(self))), variant)

    def _patches(self, rows: NDArray[np.int64], variant: Variant) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return kept patch ids (B, K) and the hub's position among them (B,)."""
        selector = variant.selector if variant.selector in self.graphs.orders else sorted(self.graphs.orders)[0]
        order = self.graphs.orders[selector][rows, : variant.kept].astype(np.int64)
        column = np.flatnonzero(self.graphs.kept == variant.kept)
        hubs = self.graphs.hubs[selector][rows, column[0]] if len(column) else np.zeros(len(rows))
        return order, hubs.astype(np.int64)

    def _fusion(self, rows: NDArray[np.int64], hubs: NDArray[np.int64], variant: Variant) -> tuple[NDArray, ...]:
        """Return (graph, patch, entity): the one edge that joins the hubs where both graphs have nodes."""
        entity_hubs = self.graphs.reports.hubs[rows].astype(np.int64)
        graph = np.flatnonzero((entity_hubs >= 0) & (variant.input == "fused") & (variant.kept > 0))
        return graph, hubs[graph], variant.kept + entity_hubs[graph]


@dataclass(frozen=True)
class ShuffledGraphs:
    """Training batches of one variant; the order is a function of (seed, epoch).

    Among the graphs of eight batches, those with reports of like size share a batch: less padding, half the time.
    """

    data: SplitGraphs
    variant: Variant
    size: int
    seed: int

    def __len__(self) -> int:
        return -(-len(self.data) // self.size)

    def epoch(self, number: int) -> Iterator[dict[str, Tensor]]:
        """Yield one epoch in a fresh order."""
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(len(self.data))
        if self.variant.input != "image":
            order = self._by_size(order)
        starts = np.arange(0, len(order), self.size)
        for start in rng.permutation(starts):
            yield self.data.batch(order[start : start + self.size], self.variant)

    def _by_size(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        entities = np.diff(self.data.graphs.reports.node_offsets)[self.data.rows]
        pool = np.arange(len(order)) // (8 * self.size)
        return order[np.lexsort((entities[order], pool))]


def _entities(
    graphs: Graphs, rows: NDArray[np.int64], wanted: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_], tuple[NDArray, NDArray, NDArray]]:
    """Return entity vectors (B, E, e), which are real (B, E), and edges (graph, first, second), E the most of any."""
    reports = graphs.reports
    counts = np.diff(reports.node_offsets)[rows] * int(wanted)
    known = np.arange(counts.max(initial=0)) < counts[:, None]
    vectors = np.zeros((*known.shape, reports.vectors.shape[1]), dtype=np.float32)
    vectors[known] = reports.vectors[reports.nodes[_ranges(reports.node_offsets[rows], counts)]]
    edge_counts = np.diff(reports.edge_offsets)[rows] * int(wanted)
    edges = reports.edges[_ranges(reports.edge_offsets[rows], edge_counts)].astype(np.int64)
    return vectors, known, (np.repeat(np.arange(len(rows)), edge_counts), edges[:, 0], edges[:, 1])


def _ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return starts[0], ..., starts[0] + counts[0] - 1, starts[1], ... as one array."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
