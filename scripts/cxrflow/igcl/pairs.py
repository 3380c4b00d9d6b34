"""Radiographs with the graphs of their reports, batch by batch; graphs are named by their rows in the store."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxrflow.augment import augment
from cxrflow.cohort.store import ImageStore
from cxrflow.errors import UserError
from cxrflow.igcl.graph_store import GraphStore
from cxrflow.radiographs import StoredRadiographs, epoch_generator, shuffled_places

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageGraphPairs(StoredRadiographs):
    """N radiographs of the store by row, their graphs by row (N,), and their groups (N,) int64: radiographs whose
    reports have the same text belong together."""

    graphs: Tensor
    groups: Tensor

    def beside(self, places: np.ndarray) -> dict[str, Tensor]:
        """Return graphs (B,) and groups (B,)."""
        chosen = torch.from_numpy(places)
        return {"graphs": self.graphs[chosen], "groups": self.groups[chosen]}


@dataclass(frozen=True)
class PairBatches:
    """Training batches; order and augmentation are functions of (seed, epoch).

    In the first `frozen` batches the image encoder does not learn: they hold `features` (B, width) in place of images
    where those of all radiographs are given (N, width).
    """

    data: ImageGraphPairs
    size: int
    seed: int
    augment: bool
    frozen: float = 0
    features: Tensor | None = None

    def __len__(self) -> int:
        return -(-len(self.data) // self.size)

    def epoch(self, number: int) -> Iterator[dict[str, Tensor]]:
        """Yield one epoch in a fresh order; the last batch may be smaller."""
        generator = epoch_generator(self.seed, number)
        for at, places in enumerate(shuffled_places(len(self.data), self.size, self.seed, number)):
            yield self._batch(places, number * len(self) + at < self.frozen, generator)

    def _batch(self, places: np.ndarray, frozen: bool, generator: torch.Generator) -> dict[str, Tensor]:
        if frozen and self.features is not None:
            return {**self.data.beside(places), "features": self.features[torch.from_numpy(places)]}
        batch = self.data.batch(places)
        if self.augment:
            batch["images"] = augment(batch["images"], generator)
        return {**batch, "frozen": torch.full((len(places),), frozen)}


def pairs_of(samples: pd.DataFrame, split: str, images: ImageStore, graphs: GraphStore) -> ImageGraphPairs:
    """Return the pairs of one split, in the order of `samples` (with `text`); one without pairs is an error."""
    chosen = paired_samples(samples, split, graphs)
    if chosen.empty:
        raise UserError(
            f"The {split} split has no radiograph whose report has a graph with entities.",
            "compare cohort/split.parquet with cohort/reports.parquet and reports/graphs.jsonl.",
        )
    return ImageGraphPairs(
        images.images,
        images.rows(chosen["image_id"]),
        torch.from_numpy(graphs.rows(chosen["study_id"])),
        torch.from_numpy(pd.factorize(chosen["text"])[0].astype(np.int64)),
    )


def paired_samples(samples: pd.DataFrame, split: str, graphs: GraphStore) -> pd.DataFrame:
    """Return the radiographs of one split whose reports have entities: a graph without any says nothing."""
    chosen = samples[samples["split"] == split]
    said = graphs.sizes[graphs.rows(chosen["study_id"])] > 0
    if not said.all():
        logger.info("%s: %d radiographs are left out, their reports have no entities", split, int((~said).sum()))
    return chosen[said].reset_index(drop=True)
