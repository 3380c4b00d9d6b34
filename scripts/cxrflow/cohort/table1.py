"""The cohort table ("Table 1" of a paper): who is in each split."""

import pandas as pd

from cxrflow.cohort.tables import SPLITS


def table1(manifest: pd.DataFrame, split: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """Return one row per split and attribute level: attribute, level, split, count.

    Patients, studies and images count distinct ids; views and sexes count images; labels count images by value
    (present, absent, uncertain, not mentioned).
    """
    table = manifest.merge(split[["image_id", "split"]], on="image_id", validate="one_to_one")
    ids = {"patients": "patient_id", "studies": "study_id", "images": "image_id"}
    rows = [
        (attribute, "", name, int(part[column].nunique()))
        for name, part in _by_split(table)
        for attribute, column in ids.items()
    ]
    for column in ("view", "sex"):
        rows += [
            (column, level, name, int((part[column].fillna("unknown") == level).sum()))
            for level in sorted(table[column].fillna("unknown").unique())
            for name, part in _by_split(table)
        ]
    meanings = {"present": 1.0, "absent": 0.0, "uncertain": -1.0}
    for label in labels:
        for name, part in _by_split(table):
            rows += [(label, level, name, int((part[label] == value).sum())) for level, value in meanings.items()]
            rows.append((label, "not mentioned", name, int(part[label].isna().sum())))
    return pd.DataFrame(rows, columns=["attribute", "level", "split", "count"])


def _by_split(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(name, table[table["split"] == name]) for name in SPLITS]
