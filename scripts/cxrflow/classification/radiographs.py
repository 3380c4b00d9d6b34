"""Radiographs with their classes, batch by batch from the memory-mapped store."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxrflow.augment import Augmentation
from cxrflow.classification.settings import DataSettings
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.tables import read_labels
from cxrflow.errors import UserError
from cxrflow.radiographs import read_images, shuffled_epoch


@dataclass(frozen=True)
class LabelledRadiographs:
    """Images of the store by row, and their classes (N, C) float32 (1, 0, or NaN: not known)."""

    images: np.ndarray
    rows: np.ndarray
    labels: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, places: np.ndarray) -> dict[str, Tensor]:
        """Return images (B, 1, S, S) float32 in 0..1 and labels (B, C)."""
        labels = self.labels[torch.from_numpy(places)]
        return {"images": read_images(self.images, self.rows[places]), "labels": labels}


@dataclass(frozen=True)
class AugmentedRadiographs:
    """Training batches; order and augmentation are functions of (seed, epoch)."""

    data: LabelledRadiographs
    size: int
    seed: int
    how: Augmentation

    def __len__(self) -> int:
        return -(-len(self.data) // self.size)

    def epoch(self, number: int) -> Iterator[dict[str, Tensor]]:
        """Yield one epoch in a fresh order; the last batch may be smaller."""
        return shuffled_epoch(self.data, self.size, self.seed, number, self.how)


def class_names(cohort: CohortFiles, data: DataSettings) -> list[str]:
    """Return the classes to learn: those of the configuration, or all labels of the cohort."""
    return list(data.classes) if data.classes is not None else read_labels(cohort.manifest)


def split_radiographs(
    cohort: CohortFiles, samples: pd.DataFrame, split: str, classes: list[str]
) -> LabelledRadiographs:
    """Return one split of `samples`; one without images is an error."""
    chosen = samples[samples["split"] == split]
    if chosen.empty:
        raise UserError(
            f"The {split} split has no decoded image.",
            "Every split needs images: compare cohort/split.parquet with the store's index and the quarantine table.",
        )
    store = cohort.store()
    labels = torch.from_numpy(chosen[classes].to_numpy(dtype=np.float32, copy=True))
    return LabelledRadiographs(store.images, store.rows(chosen["image_id"]), labels)
