"""The one authority on which patient is in which split, and the proof that no patient is in two."""

import logging

import numpy as np
import pandas as pd

from cxrflow.cohort.tables import SPLITS
from cxrflow.errors import UserError

logger = logging.getLogger(__name__)

KEYS = ["image_id", "patient_id", "study_id"]


def split_images(
    manifest: pd.DataFrame, labels: list[str], shares: tuple[float, float, float], seed: int, valid: str = "validate"
) -> pd.DataFrame:
    """Return image_id, patient_id, study_id, split: the official split where there is one, else one made from `seed`.

    A split that the official one lacks (NIH has no validation part) is made from its training patients, in proportion
    to `shares`. `valid` is what an official part of that name serves as. Raises UserError where only some images have
    an official split.
    """
    official = manifest["official_split"].replace("valid", valid)
    if official.isna().any() and official.notna().any():
        raise UserError(
            f"{int(official.isna().sum())} of {len(manifest)} images have no official split, the others have.",
            "mend the split table: official and made splits can't be mixed.",
        )
    share = dict(zip(SPLITS, shares, strict=True))
    given = set(official.dropna())
    made = [name for name in SPLITS if name == "train" or name not in given]
    split = manifest[KEYS].copy()
    split["split"] = official
    if len(made) > 1:
        open_rows = official.isna() | (official == "train")
        logger.info("Patients are split into %s from seed %d.", " and ".join(made), seed)
        assigned = split_patients(manifest[open_rows], labels, {name: share[name] for name in made}, seed)
        split.loc[open_rows, "split"] = manifest.loc[open_rows, "patient_id"].map(assigned)
    else:
        logger.info("The official split is used.")
    return split


def split_patients(manifest: pd.DataFrame, labels: list[str], shares: dict[str, float], seed: int) -> dict[str, str]:
    """Assign whole patients to the splits of `shares`, stratified by each patient's rarest positive label.

    Within a stratum the order is random from `seed` and the splits are dealt out evenly along it, so that every split
    gets its share of each label as nearly as whole patients allow.
    """
    positive = manifest.groupby("patient_id")[labels].max().eq(1.0).sort_index()
    order = positive.sum().sort_values(kind="stable").index
    stratum = np.column_stack([positive[order], ~positive.to_numpy().any(axis=1)]).argmax(axis=1)
    random = np.random.default_rng(seed).permutation(len(positive))
    ranked = random[np.argsort(stratum[random], kind="stable")]
    # A low-discrepancy sequence along the strata keeps the shares of every contiguous run close to the target.
    position = (np.arange(len(ranked)) * 0.6180339887498949 + 0.5) % 1.0
    bounds = np.cumsum(list(shares.values()))[:-1] / sum(shares.values())
    names = np.asarray(list(shares))[np.searchsorted(bounds, position, side="right")]
    return dict(zip(positive.index[ranked], names, strict=True))


def assert_disjoint(split: pd.DataFrame) -> dict[str, object]:
    """Return the counts per split; raise UserError where a patient, study or image is in more than one.

    No id is named in the error: it may be credentialed data.
    """
    for key in KEYS:
        shared = split.groupby(key)["split"].nunique().gt(1)
        if shared.any():
            raise UserError(
                f"{int(shared.sum())} values of {key} are in more than one split.",
                "models would be tested on what they learned from: mend the split table, or drop it to have one made.",
            )
    counts = split.groupby("split")[KEYS].nunique()
    return {"disjoint": True, "counts": counts.reindex(list(SPLITS), fill_value=0).to_dict("index")}
