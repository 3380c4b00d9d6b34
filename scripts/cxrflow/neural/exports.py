"""Reads exported attention together with the samples that it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.neural.cohort_files import CohortFiles
from cxrflow.neural.pruning import patch_scores


@dataclass(frozen=True)
class Exports:
    """The attention exports of some splits: attention (n, layers, 144) and image ids, file by file."""

    attention: Sequence[Path]
    images: Sequence[Path]

    def read(self, cohort: CohortFiles, layers: str) -> tuple[pd.DataFrame, NDArray[np.float32]]:
        """Return the samples (with boxes and the source's size) and their scores (n, 144), row by row."""
        whose = pd.concat([pd.read_parquet(table) for table in self.images], ignore_index=True)
        attention = np.concatenate([np.load(file, allow_pickle=False) for file in self.attention])
        samples = cohort.samples([], "zero").set_index("image_id")
        return samples.loc[whose["image_id"]].reset_index(), patch_scores(attention, layers)
