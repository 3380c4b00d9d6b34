"""Images that are the same file under several names, and studies made of the same files.

Byte-identical copies under several patients make a patient-disjoint split leak: a model is tested on what it was
trained on.
"""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.errors import UserError
from cxrflow.files import write_twins

logger = logging.getLogger(__name__)

COLUMNS = ["level", "group", "image_id", "study_id", "patient_id", "split", "across_splits", "across_patients"]
_STUDY = ["patient_id", "study_id"]


def duplicates(index: pd.DataFrame, manifest: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """Return one row per image that shares its file with another image, and per study that shares all of its files.

    Takes image_id and sha256 of the decoded images (`index`), image_id, study_id and patient_id (`manifest`), and
    image_id and split (`split`). `level` is `image` or `study` (then without image_id); `group` numbers the groups of
    a level from 0 in the order of their first ids; `across_splits` and `across_patients` tell whether the group reaches
    over more than one. Refused files are in no group: a study is the set of its decoded files. Raises UserError where
    an image has no study or no split.
    """
    images = index[["image_id", "sha256"]].merge(manifest[["image_id", *_STUDY]], on="image_id", how="left")
    images = images.merge(split[["image_id", "split"]], on="image_id", how="left", validate="one_to_one")
    if images[["study_id", "split"]].isna().any(axis=None):
        raise UserError(
            "Images of the store are missing in the manifest or the split.", "they were made from other manifests."
        )
    shared = images[images["sha256"].duplicated(keep=False)].sort_values("image_id", ignore_index=True)
    studies = _equal_studies(images, shared)
    table = pd.concat([_grouped(shared, "image", "sha256"), _grouped(studies, "study", "files")], ignore_index=True)
    return table[COLUMNS].astype(dict.fromkeys(["level", "image_id", *_STUDY, "split"], "str"))


def write_duplicates(target: Path, table: pd.DataFrame) -> None:
    """Write the table as csv with its parquet twin; log how much is shared, without ids."""
    write_twins(target, table)
    for level, name in (("image", "images"), ("study", "studies")):
        rows = table[table["level"] == level]
        logger.info("%d %s share their files, in %d groups", len(rows), name, rows["group"].nunique())
        for column in ("patients", "splits"):
            crossing = rows[rows[f"across_{column}"]]
            if len(crossing):
                groups = crossing["group"].nunique()
                logger.warning("%d groups (%d %s) reach over several %s", groups, len(crossing), name, column)


def _equal_studies(images: pd.DataFrame, shared: pd.DataFrame) -> pd.DataFrame:
    """Return the studies whose set of files another study has too, in the order of their ids; `files` numbers sets."""
    whole = images.groupby(_STUDY).size().rename("images")
    counted = shared.groupby(_STUDY).size().rename("shared").reset_index().merge(whole, on=_STUDY)
    studies = counted.loc[counted["shared"] == counted["images"], _STUDY]  # only these can be equal to another
    studies = studies.sort_values(["study_id", "patient_id"], ignore_index=True).assign(study=range(len(studies)))
    rows = shared.merge(studies, on=_STUDY)
    first = rows.drop_duplicates("study").set_index("study")["split"]
    files = _set_numbers(rows["study"], rows["sha256"], len(studies))
    studies = studies.assign(image_id=None, split=first, files=files)
    return studies[studies["files"].duplicated(keep=False)]


def _set_numbers(owners: pd.Series, members: pd.Series, count: int) -> NDArray[np.int64]:
    """Return a number for each owner (0..count-1): equal where their sets of members are equal, and only there."""
    pairs = pd.DataFrame({"owner": owners, "member": pd.factorize(members)[0]}).drop_duplicates()
    pairs = pairs.sort_values(["owner", "member"])
    position = pairs.groupby("owner").cumcount()
    numbers = np.zeros(count, dtype=np.int64)
    for _, nth in pairs.groupby(position):  # all first members, then all second ones ...: few rounds, whole columns
        numbers *= len(members) + 1
        numbers[nth["owner"]] += nth["member"].to_numpy() + 1
        numbers = np.unique(numbers, return_inverse=True)[1]
    return numbers


def _grouped(rows: pd.DataFrame, level: str, key: str) -> pd.DataFrame:
    """Add level, group and what each group reaches over; `rows` are in the order that numbers the groups."""
    groups = rows.groupby(key, sort=False)
    return rows.assign(
        level=level,
        group=groups.ngroup().astype("int64"),
        across_splits=groups["split"].transform("nunique") > 1,
        across_patients=groups["patient_id"].transform("nunique") > 1,
    ).sort_values(["group"], kind="stable")
