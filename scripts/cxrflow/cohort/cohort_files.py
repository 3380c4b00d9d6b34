"""The canonical tables and the image store, as the rules of every system receive them."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from cxrflow.cohort.policies import UncertainPolicy
from cxrflow.cohort.samples import load_samples
from cxrflow.cohort.store import ImageStore


@dataclass(frozen=True)
class CohortFiles:
    """The canonical tables and the store that rules read; `reports` only for systems that read reports."""

    manifest: Path
    split: Path
    images: Path
    index: Path
    reports: Path | None = None

    @classmethod
    def of(cls, named: Any) -> "CohortFiles":
        """Return the files under these names of a rule's input."""
        found = {field.name: getattr(named, field.name, None) for field in fields(cls)}
        return cls(**{name: Path(file) for name, file in found.items() if file})

    def samples(self, labels: list[str], uncertain: UncertainPolicy) -> pd.DataFrame:
        """Return one row per decoded image (with a report, where there are reports)."""
        return load_samples(self.manifest, self.split, self.reports, labels, uncertain, self.index)

    def store(self) -> ImageStore:
        """Open the images."""
        return ImageStore.open(self.images, self.index)

    def tables(self) -> list[Path]:
        """Return what identifies the data; the index stands for the images, which would take minutes to read."""
        return [file for file in (self.manifest, self.split, self.reports, self.index) if file is not None]
