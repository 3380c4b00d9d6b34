"""The test split with its labels, and how often each of its patients is in each resample."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.igcl.transfer_settings import EvaluationSettings, TransferSettings
from cxrflow.metrics import patient_draws


@dataclass(frozen=True)
class TestSplit:
    """Labels of the validate and the test split by image, and the resamples of the test split's patients.

    `truth` has one table per split: image_id as index, patient_id, one column per label (1, 0, or NaN where ignored).
    `patient` (N,) is the row of each test radiograph in `drawn` (patients, R).
    """

    truth: Mapping[str, pd.DataFrame]
    labels: list[str]
    patient: NDArray[np.intp]
    drawn: NDArray[np.float32]

    __test__ = False  # no test, whatever its name begins with

    @classmethod
    def read(cls, cohort: CohortFiles, transfer: TransferSettings, settings: EvaluationSettings) -> "TestSplit":
        """Return the splits of a cohort with the labels to learn."""
        samples = cohort.samples(list(transfer.labels), transfer.uncertain)
        truth = {
            split: samples[samples["split"] == split].set_index("image_id")[["patient_id", *transfer.labels]]
            for split in ("validate", "test")
        }
        drawn = patient_draws(truth["test"]["patient_id"], settings.resamples, settings.seed)
        return cls(truth, list(transfer.labels), *drawn)

    def ids(self, split: str) -> pd.Index:
        """Return the images of a split, in order."""
        return self.truth[split].index

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """How often each test radiograph is in each resample, (R, N)."""
        return np.ascontiguousarray(self.drawn[self.patient].T)

    @property
    def n_patients(self) -> int:
        """Patients of the test split."""
        return len(self.drawn)
