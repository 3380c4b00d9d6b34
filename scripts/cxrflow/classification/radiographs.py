"""Radiographs with their classes, batch by batch from the memory-mapped store."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxrflow.classification.settings import DataSettings
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.tables import read_labels
from cxrflow.errors import UserError
from cxrflow.radiographs import StoredRadiographs


@dataclass(frozen=True)
class LabelledRadiographs(StoredRadiographs):
    """Images of the store by row, and their classes (N, C) float32 (1, 0, or NaN: not known)."""

    labels: Tensor

    def beside(self, places: np.ndarray) -> dict[str, Tensor]:
        """Return labels (B, C)."""
        return {"labels": self.labels[torch.from_numpy(places)]}


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
