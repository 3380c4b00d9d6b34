"""Findings put into words: prompts for and against them, and which findings have boxes on which radiographs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.boxes import finding_covers


def finding_prompts(labels: Sequence[str], templates: Sequence[tuple[str, str]]) -> NDArray:
    """Return (templates, labels, 2) texts, for a finding and against it."""
    return np.array(
        [[[text.format(label=label.lower()) for text in pair] for label in labels] for pair in templates], dtype=object
    )


def boxed_findings(manifest: Path, rows: pd.DataFrame, side: int) -> pd.DataFrame:
    """Return one row per radiograph of the data set's `rows` and boxed finding: position (row), patient_id, finding,
    cover (side^2,); empty where the cohort has no boxes."""
    images = pd.read_parquet(manifest, columns=["image_id", "patient_id", "height", "width", "boxes"])
    return finding_covers(images.set_index("image_id").loc[rows["dicom_id"]].reset_index(), side)
