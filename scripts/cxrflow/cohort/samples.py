"""What models train on: the canonical tables joined to one row per image."""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.policies import UncertainPolicy, uncertain_value
from cxrflow.cohort.tables import read_labels
from cxrflow.errors import UserError

_COLUMNS = ["image_id", "patient_id", "study_id", "split", "view", "height", "width", "boxes"]


def load_samples(
    manifest: Path,
    split: Path,
    reports: Path | None,
    labels: list[str],
    uncertain: UncertainPolicy = "zero",
    store_index: Path | None = None,
) -> pd.DataFrame:
    """Return one row per image, sorted by image_id; with `reports` those that have one, with `store_index` those that
    were decoded.

    Columns: image_id, patient_id, study_id, split, view, height, width, boxes, (with `reports`) text, then one float
    column per label: 1 present, 0 absent or not mentioned; uncertain by policy (`ignore` leaves NaN). Raises UserError
    for a label that the cohort does not have.
    """
    known = read_labels(manifest)
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise UserError(f"The cohort has no labels {unknown}.", f"its labels are: {', '.join(known)}.")
    images = pd.read_parquet(manifest)
    for label in labels:
        images[label] = images[label].fillna(0.0).replace(-1.0, uncertain_value(uncertain, label))
    samples = images.merge(pd.read_parquet(split)[["image_id", "split"]], on="image_id", validate="one_to_one")
    columns = _COLUMNS
    if reports is not None:
        texts = pd.read_parquet(reports, columns=["study_id", "text"])
        samples, columns = samples.merge(texts, on="study_id", validate="many_to_one"), [*_COLUMNS, "text"]
    if store_index is not None:
        samples = samples[samples["image_id"].isin(pd.read_parquet(store_index)["image_id"])]
    return samples.sort_values("image_id", ignore_index=True)[[*columns, *labels]]
