"""Retrieval on the test split: does a radiograph find the graph of its report among all, and a graph its radiograph?"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.igcl.test_split import resampled_patients
from cxrflow.igcl.transfer_settings import EvaluationSettings
from cxrflow.metrics import interval, weighted_mean, weighted_median
from cxrflow.retrieval import AT, chance_of_rank, ranks, recalls

TO_GRAPH, TO_IMAGE = "image to graph", "graph to image"


@dataclass(frozen=True)
class Embeddings:
    """Unit vectors of N test radiographs and of their reports' graphs, (N, D) each; the rows of the cohort's samples
    (with study_id, patient_id, text) that they are of, and the number of each report's text (N,)."""

    samples: pd.DataFrame
    images: NDArray[np.float32]
    graphs: NDArray[np.float32]
    groups: NDArray[np.int64]

    @classmethod
    def read(cls, file: Path, cohort: CohortFiles) -> "Embeddings":
        """Return what pretraining left of the test split."""
        with np.load(file, allow_pickle=False) as arrays:
            ids, images, graphs = (arrays[name] for name in ("image_ids", "images", "graphs"))
        samples = cohort.samples([], "zero").set_index("image_id").loc[ids].reset_index()
        return cls(samples, images, graphs, pd.factorize(samples["text"])[0].astype(np.int64))


def retrieval_table(found: Embeddings, about: Mapping[str, object], settings: EvaluationSettings) -> pd.DataFrame:
    """Return R@1, 5, 10 and the median rank in both directions, with intervals over patients and chance.

    Reports with the same text count once, and any radiograph with that text is a hit: each radiograph looks among the
    graphs of the different texts, the graph of each study's report among all radiographs.
    """
    patient, drawn = resampled_patients(found.samples["patient_id"], settings)
    weights = np.ascontiguousarray(drawn[patient].T)
    groups = found.groups
    texts, first = np.unique(groups, return_index=True)
    _, studies = np.unique(found.samples["study_id"], return_index=True)
    common = {**about, "n_patients": len(drawn), "n_seeds": 1}
    to_graph = ranks(found.images, found.graphs[first], groups, texts)
    to_image = ranks(found.graphs[studies], found.images, groups[studies], groups)
    rows = _rows(TO_GRAPH, to_graph, _chance(groups, texts), weights)
    rows += _rows(TO_IMAGE, to_image, _chance(groups[studies], groups), weights[:, studies])
    return pd.DataFrame([{**common, **row} for row in rows])


def _chance(queries: NDArray, gallery: NDArray) -> list[float]:
    return [float(chance_of_rank(queries, gallery, at).mean()) for at in AT]


def _rows(direction: str, rank: NDArray, chance: list[float], weights: NDArray) -> list[dict]:
    """Return the rows of one direction: `chance` is what a random order gives."""
    rows = []
    for (metric, hits), expected in zip(recalls(rank).items(), chance, strict=True):
        bounds = interval(float(hits.mean()), weighted_mean(hits, weights))
        rows.append({"direction": direction, "metric": metric, **bounds._asdict(), "chance": expected})
    bounds = interval(float(weighted_median(rank)[0]), weighted_median(rank, weights))
    return [*rows, {"direction": direction, "metric": "median rank", **bounds._asdict(), "chance": np.nan}]
