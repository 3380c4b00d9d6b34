"""Retrieval on the test split: does a radiograph find the graph of its report among all, and a graph its radiograph?"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.igcl.transfer_settings import EvaluationSettings
from cxrflow.measured import measures_table
from cxrflow.metrics import patient_draws
from cxrflow.retrieval_measures import to_images, to_reports

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


class RetrievalKey(NamedTuple):
    """What a number is about."""

    direction: str
    metric: str


def retrieval_table(found: Embeddings, about: Mapping[str, object], settings: EvaluationSettings) -> pd.DataFrame:
    """Return R@1, 5, 10 and the median rank in both directions, with intervals over patients and chance.

    Reports with the same text count once, and any radiograph with that text is a hit: each radiograph looks among the
    graphs of the different texts, the graph of each study's report among all radiographs.
    """
    patient, drawn = patient_draws(found.samples["patient_id"], settings.resamples, settings.seed)
    vectors, studies = (found.images, found.graphs, found.groups), found.samples["study_id"].to_numpy()
    weights = np.ascontiguousarray(drawn[patient].T)
    directions = {TO_GRAPH: to_reports(*vectors), TO_IMAGE: to_images(*vectors, studies)}
    measures = {
        RetrievalKey(direction, metric): one
        for direction, retrieval in directions.items()
        for metric, one in retrieval.measures(weights).items()
    }
    return measures_table(measures, RetrievalKey._fields, {**about, "n_patients": len(drawn)})
