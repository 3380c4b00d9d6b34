"""Joins kept patches and report graphs: which patch is the hub of each pruned radiograph, for every share at once.

A visual graph needs no edge list of its own: its nodes are a prefix of the ranking, its edges the neighbours among
them on the 12 x 12 grid. So one record per radiograph holds the graphs of all shares.
"""

import logging
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrflow.files import atomic_path
from cxrflow.neural.centrality import betweenness
from cxrflow.neural.pruning import kept_counts
from cxrflow.neural.report_graphs import ReportGraphs, flatten, read_report_graphs
from cxrflow.neural.settings import GRID_SIDE, PATCHES, GraphSettings, PruningSettings

logger = logging.getLogger(__name__)


def grid_edges() -> NDArray[np.int64]:
    """Return the 264 pairs of patches that touch (left-right or above-below), lower id first."""
    patch = np.arange(PATCHES).reshape(GRID_SIDE, GRID_SIDE)
    across = np.stack([patch[:, :-1].ravel(), patch[:, 1:].ravel()], axis=1)
    down = np.stack([patch[:-1].ravel(), patch[1:].ravel()], axis=1)
    return np.concatenate([across, down])


GRID_EDGES = grid_edges()


@dataclass(frozen=True)
class Graphs:
    """All graphs of a cohort. `orders` and `hubs` are by selector: (N, 144) patch ids, (N, shares) hub positions.

    The visual graph of share s has the first kept[s] patches of the order as nodes; its hub is a position among them.
    """

    image_id: NDArray[np.str_]
    patient_id: NDArray[np.str_]
    split: NDArray[np.str_]
    percentiles: NDArray[np.float64]
    kept: NDArray[np.int64]
    orders: dict[str, NDArray[np.uint8]]
    hubs: dict[str, NDArray[np.uint8]]
    reports: ReportGraphs

    def save(self, path: Path) -> None:
        """Write everything as one npz without pickled objects."""
        arrays = {name: getattr(self, name) for name in ("image_id", "patient_id", "split", "percentiles", "kept")}
        for selector in self.orders:
            arrays |= {f"order_{selector}": self.orders[selector], f"hub_{selector}": self.hubs[selector]}
        arrays |= {f"report_{name}": array for name, array in asdict(self.reports).items()}
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Graphs":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return cls(
            **{name: arrays[name] for name in ("image_id", "patient_id", "split", "percentiles", "kept")},
            orders=_with_prefix(arrays, "order_"),
            hubs=_with_prefix(arrays, "hub_"),
            reports=ReportGraphs(**_with_prefix(arrays, "report_")),
        )


def build_graphs(
    ranking: Path, report_graphs: Path, output: Path, settings: GraphSettings, pruning: PruningSettings
) -> None:
    """Write the graphs of every radiograph, selector and share."""
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
        hubs={selector: image_hubs(order, kept) for selector, order in orders.items()},
        reports=flatten(read_report_graphs(report_graphs), arrays["study_id"].tolist(), settings.text_width),
    )
    graphs.save(output)
    logger.info(
        "%d radiographs, %d shares, %d report entities", len(graphs.split), len(kept), len(graphs.reports.nodes)
    )


def image_hubs(order: NDArray[np.uint8], kept: list[int]) -> NDArray[np.uint8]:
    """Return (N, shares): the position in the ranking of the most central of the kept patches.

    Positions are numbered by rank, so that among equally central patches the one with the higher score is the hub;
    where no path has an inner node that is the first (the released code took the lowest patch id).
    """
    central = [[kept_betweenness(np.sort(image[:count]).tobytes())[image[:count]] for count in kept] for image in order]
    return np.array([[np.argmax(values) for values in image] for image in central], dtype=np.uint8)


@lru_cache(maxsize=100_000)
def kept_betweenness(patches: bytes) -> NDArray[np.float64]:
    """Return (144,): the betweenness of kept patches (sorted uint8 ids) on the grid, 0 elsewhere."""
    inside = np.zeros(PATCHES, dtype=bool)
    inside[np.frombuffer(patches, dtype=np.uint8)] = True
    return betweenness(PATCHES, kept_edges(inside))


def kept_edges(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the pairs of neighbours (patch ids) with both patches kept; `inside` (144,) tells which are."""
    return GRID_EDGES[inside[GRID_EDGES].all(axis=1)]


def _with_prefix(arrays: dict[str, NDArray], prefix: str) -> dict[str, NDArray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
