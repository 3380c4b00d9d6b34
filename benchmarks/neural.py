"""Pruning, graph hubs and intervals against one-by-one code with networkx and scikit-learn."""

from collections.abc import Iterator
from contextlib import contextmanager

import networkx
import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.timing import Comparison
from cxrflow.metrics import auroc, over_resamples, resample_weights
from cxrflow.neural.graphs import GRID_EDGES, image_hubs, kept_betweenness
from cxrflow.neural.pruning import PATCHES, kept_counts, patch_order

PERCENTILES = (1.0, 2.3, 3.0, 5.0, 6.6, 10.0, 25.0, 50.0)
RADIOGRAPHS, HUB_RADIOGRAPHS, PATIENTS, RESAMPLES = 2000, 60, 1000, 200


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """Yield the comparisons of this room."""
    yield [_pruning(), _hubs(), _bootstrap()]


def _pruning() -> Comparison:
    """All shares of all radiographs: prefixes of one ranking, and a threshold per radiograph and share."""
    scores = np.random.default_rng(0).dirichlet(np.ones(PATCHES), RADIOGRAPHS)

    def ours() -> list[np.ndarray]:
        order = patch_order(scores)
        return [order[:, :count] for count in kept_counts(PERCENTILES, "percentile")]

    def reference() -> list[list[np.ndarray]]:
        return [
            [np.flatnonzero(image > np.percentile(image, 100 - share)) for image in scores] for share in PERCENTILES
        ]

    for kept, expected in zip(ours(), reference(), strict=True):
        assert all(set(a) == set(b) for a, b in zip(kept.tolist(), map(np.ndarray.tolist, expected), strict=True))
    return Comparison(f"{len(PERCENTILES)} shares of {RADIOGRAPHS:,} radiographs", ours, reference, goal=5)


def _hubs() -> Comparison:
    """The most central patch at every share: igraph on the grid, and a networkx graph per radiograph and share."""
    order = patch_order(np.random.default_rng(0).dirichlet(np.ones(PATCHES), HUB_RADIOGRAPHS))
    kept = kept_counts(PERCENTILES, "percentile")

    def ours() -> np.ndarray:
        kept_betweenness.cache_clear()
        return image_hubs(order, kept)

    def reference() -> list[list[int]]:
        return [[_networkx_hub(image[:count].tolist()) for count in kept] for image in order]

    return Comparison(
        f"hubs of {HUB_RADIOGRAPHS} radiographs at {len(kept)} shares", ours, reference, goal=5, repeats=3
    )


def _networkx_hub(patches: list[int]) -> int:
    graph = networkx.Graph()
    graph.add_nodes_from(patches)
    graph.add_edges_from((a, b) for a, b in GRID_EDGES.tolist() if a in graph and b in graph)
    central = networkx.betweenness_centrality(graph)
    return max(central, key=lambda patch: central[patch])


def _bootstrap() -> Comparison:
    """The AUC over resamples of patients: one sort and a matrix of weights, and scikit-learn on each resample."""
    random = np.random.default_rng(0)
    patients = np.repeat(np.arange(PATIENTS), 2)
    truth = random.integers(0, 2, len(patients))
    score = random.normal(truth, 2)
    rows = [np.flatnonzero(patients == patient) for patient in range(PATIENTS)]

    def ours() -> np.ndarray:
        return over_resamples(auroc, truth, score, resample_weights(patients, RESAMPLES, 0))

    def reference() -> list[float]:
        draws = np.random.default_rng(0).integers(PATIENTS, size=(RESAMPLES, PATIENTS))
        chosen = [np.concatenate([rows[patient] for patient in draw]) for draw in draws]
        return [roc_auc_score(truth[choice], score[choice]) for choice in chosen]

    return Comparison(f"AUC over {RESAMPLES} resamples of {PATIENTS:,} patients", ours, reference, goal=5)
