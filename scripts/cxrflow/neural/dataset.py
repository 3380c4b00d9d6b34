"""Radiographs, reports and findings of one split, batch by batch from the memory-mapped store."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer
from torch import Tensor

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.store import ImageStore
from cxrflow.errors import UserError
from cxrflow.neural.tokenizer import PAD_ID, encode, trimmed
from cxrflow.radiographs import ShuffledBatches, StoredRadiographs


@dataclass(frozen=True)
class RadiographReports(StoredRadiographs):
    """Paired images, tokens (N, T) int64 and findings (N, C) float32 of some images, in the order of `rows`."""

    tokens: Tensor
    findings: Tensor

    def beside(self, places: np.ndarray) -> dict[str, Tensor]:
        """Return tokens without needless padding, and findings."""
        chosen = torch.from_numpy(places)
        return {"tokens": trimmed(self.tokens[chosen]), "findings": self.findings[chosen]}

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each report, (N,)."""
        return (self.tokens != PAD_ID).sum(dim=1).numpy()


@dataclass(frozen=True, kw_only=True)
class AugmentedBatches(ShuffledBatches):
    """Training batches; the first `without_reports` epochs hold no tokens: the model learns the findings alone."""

    without_reports: int = 0

    def epoch(self, number: int) -> Iterator[dict[str, Tensor]]:
        """Yield one epoch in a fresh order; one batch may be smaller."""
        for batch in super().epoch(number):
            if number < self.without_reports:
                del batch["tokens"]
            yield batch


def split_samples(cohort: CohortFiles, split: str) -> pd.DataFrame:
    """Return the images of one split that have a report, without labels; a split without any is an error."""
    samples = cohort.samples([], "zero")
    return not_empty(samples[samples["split"] == split].reset_index(drop=True))


def not_empty(samples: pd.DataFrame) -> pd.DataFrame:
    """Return `samples`; raise UserError where there are none."""
    if samples.empty:
        raise UserError(
            "A split has no image with a report.",
            "Every split needs images: compare cohort/split.parquet with the store's index.",
        )
    return samples


def pair(
    store: ImageStore, samples: pd.DataFrame, labels: list[str], tokenizer: Tokenizer, max_length: int
) -> RadiographReports:
    """Return the images of `samples` (as from `load_samples`) with their tokens and findings."""
    tokens = encode(tokenizer, not_empty(samples)["text"].tolist(), max_length)
    findings = torch.from_numpy(samples[labels].to_numpy(dtype=np.float32, copy=True))
    return RadiographReports(store.images, store.rows(samples["image_id"]), tokens, findings)
