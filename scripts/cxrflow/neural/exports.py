"""Reads exported attention together with the samples that it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.neural.pruning import read_scores


@dataclass(frozen=True)
class Exports:
    """The attention exports of some splits, file by file: attention by text setting (npz) and image ids."""

    attention: Sequence[Path]
    images: Sequence[Path]

    def read(self, cohort: CohortFiles, layers: str, text: str) -> tuple[pd.DataFrame, NDArray[np.float32]]:
        """Return the samples (with boxes and the source's size) and the scores (n, 144) of one text setting."""
        whose = pd.concat([pd.read_parquet(table) for table in self.images], ignore_index=True)
        samples = cohort.samples([], "zero").set_index("image_id")
        return samples.loc[whose["image_id"]].reset_index(), read_scores(self.attention, layers, text)
