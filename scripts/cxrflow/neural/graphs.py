"""Joins kept patches and report graphs: which patch is the hub of each pruned radiograph, for every share at once.

A visual graph needs no edge list of its own: its nodes are a prefix of the ranking, its edges the neighbours among
them on the 12 x 12 grid. So one record per radiograph holds the graphs of all shares.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrflow.files import write_arrays
from cxrflow.neural.centrality import betweenness
from cxrflow.neural.pruning import kept_counts
from cxrflow.neural.report_graphs import ReportGraphs, read_text_graphs
from cxrflow.neural.settings import GRID_SIDE, PATCHES, GraphSettings, PruningSettings

logger = logging.getLogger(__name__)

_BLOCK = 4096  # graphs whose centrality is computed at once


def grid_edges() -> NDArray[np.int64]:
    """Return the 264 pairs of patches that touch (left-right or above-below), lower id first."""
    patch = np.arange(PATCHES).reshape(GRID_SIDE, GRID_SIDE)
    across = np.stack([patch[:, :-1].ravel(), patch[:, 1:].ravel()], axis=1)
    down = np.stack([patch[:-1].ravel(), patch[1:].ravel()], axis=1)
    return np.concatenate([across, down])


GRID_EDGES = grid_edges()


@dataclass(frozen=True)
class Graphs:
    """All graphs of a cohort.

    `orders` and `hubs` are by ranking (`random`, `attention_reference`, ...): (N, 144) patch ids, (N, shares) hub
    positions. The visual graph of share s has the first kept[s] patches of the order as nodes; its hub is a position
    among them. `reports` holds the report graphs of each text setting.
    """

    image_id: NDArray[np.str_]
    patient_id: NDArray[np.str_]
    split: NDArray[np.str_]
    percentiles: NDArray[np.float64]
    kept: NDArray[np.int64]
    orders: dict[str, NDArray[np.uint8]]
    hubs: dict[str, NDArray[np.uint8]]
    reports: dict[str, ReportGraphs]

    def save(self, path: Path) -> None:
        """Write everything as one npz without pickled objects; the vectors, which all texts share, once."""
        arrays = {name: getattr(self, name) for name in _COMMON}
        for key in self.orders:
            arrays |= {f"order_{key}": self.orders[key], f"hub_{key}": self.hubs[key]}
        for text, reports in self.reports.items():
            fields = dict(vars(reports))
            arrays["vectors"] = fields.pop("vectors")
            arrays |= {f"report_{text}.{name}": array for name, array in fields.items()}
        write_arrays(path, arrays.items())

    @classmethod
    def load(cls, path: Path) -> "Graphs":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return cls(
            **{name: arrays[name] for name in _COMMON},
            orders=_with_prefix(arrays, "order_"),
            hubs=_with_prefix(arrays, "hub_"),
            reports=_reports(arrays),
        )


_COMMON = ("image_id", "patient_id", "split", "percentiles", "kept")


def _reports(arrays: Mapping[str, NDArray]) -> dict[str, ReportGraphs]:
    fields: dict[str, dict[str, NDArray]] = {}
    for name, array in _with_prefix(arrays, "report_").items():
        text, _, field = name.partition(".")
        fields.setdefault(text, {})[field] = array
    return {text: ReportGraphs(**found, vectors=arrays["vectors"]) for text, found in fields.items()}


def build_graphs(
    ranking: Path, texts: Mapping[str, Path], output: Path, settings: GraphSettings, pruning: PruningSettings
) -> None:
    """Write the graphs of every radiograph, ranking and share, and its report's graph in every text setting.

    `texts` names the report graphs (JSON lines, one per image) of each text setting.
    """
    with np.load(ranking, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    orders = _with_prefix(arrays, "order_")
    kept = kept_counts(pruning.percentiles, pruning.mode)
    graphs = Graphs(
        image_id=arrays["image_id"],
        patient_id=arrays["patient_id"],
        split=arrays["split"],
        percentiles=np.array(pruning.percentiles),
        kept=np.array(kept),
        orders=orders,
        hubs={key: image_hubs(order, kept) for key, order in orders.items()},
        reports=read_text_graphs(texts, arrays["image_id"].tolist(), settings),
    )
    graphs.save(output)
    entities = ", ".join(f"{len(reports.nodes)} entities of {text}" for text, reports in graphs.reports.items())
    logger.info("%d radiographs, %d shares, %s", len(graphs.split), len(kept), entities)


def image_hubs(order: NDArray[np.uint8], kept: Sequence[int]) -> NDArray[np.uint8]:
    """Return (N, shares): the position in the ranking of the most central of the kept patches.

    Positions are numbered by rank, so that among equally central patches the one with the higher score is the hub;
    where no path has an inner node that is the first (the released code took the lowest patch id).
    """
    found = np.empty((len(order), len(kept)), dtype=np.uint8)
    for start in range(0, len(order), _BLOCK):
        block = slice(start, start + _BLOCK)
        for share, count in enumerate(kept):
            patches = order[block, :count].astype(np.int64)
            central = np.take_along_axis(kept_betweenness(patches), patches, axis=1)
            found[block, share] = central.argmax(axis=1)  # the first of equal ones
    return found


def kept_betweenness(patches: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (n, 144): the betweenness of kept patches (n, count) on the grid, 0 elsewhere; equal sets cost one."""
    inside = np.zeros((len(patches), PATCHES), dtype=bool)
    np.put_along_axis(inside, patches, True, axis=1)
    packed, same = np.unique(np.packbits(inside, axis=1), axis=0, return_inverse=True)
    distinct = np.unpackbits(packed, axis=1).astype(bool)
    graph, edge = np.nonzero(distinct[:, GRID_EDGES].all(axis=2))
    edges = GRID_EDGES[edge] + PATCHES * graph[:, None]
    return betweenness(distinct.size, edges).reshape(-1, PATCHES)[same.ravel()]


def _with_prefix(arrays: Mapping[str, NDArray], prefix: str) -> dict[str, NDArray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
