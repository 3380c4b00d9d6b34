"""The truth behind a table of predictions, from the cohort's own tables."""

import logging
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.policies import UncertainPolicy
from cxrflow.errors import UserError
from cxrflow.forgetting.predictions import Truth, read_classes

logger = logging.getLogger(__name__)


def labelled_samples(cohort: CohortFiles, predictions: Path, uncertain: UncertainPolicy) -> pd.DataFrame:
    """Return the cohort's images with the classes of a table of predictions, one row per image."""
    return cohort.samples(list(read_classes(predictions)), uncertain)


def predicted_truth(samples: pd.DataFrame, predictions: Path, split: str = "test") -> Truth:
    """Return the truth of the images of `split` that a table predicts.

    Images of the split without a prediction are left out, with their number in the log. Raises UserError where none is
    left.
    """
    chosen = samples[samples["split"] == split]
    predicted = chosen["image_id"].isin(predicted_images(predictions))
    if not predicted.any():
        raise UserError(
            f"{predictions} predicts none of the {len(chosen)} images of the {split} split.",
            "it was written for another cohort or split: delete it and run again.",
        )
    if not predicted.all():
        logger.info("%d of %d images of the %s split have no prediction.", (~predicted).sum(), len(chosen), split)
    return Truth.of(chosen[predicted], read_classes(predictions))


def predicted_images(predictions: Path) -> list[str]:
    """Return the images that a table predicts; each of its row groups holds the same."""
    return pq.ParquetFile(predictions).read_row_group(0, columns=["image_id"]).column("image_id").to_pylist()
