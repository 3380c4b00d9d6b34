"""The cohort table ("Table 1" of a paper): who is in each split, and in all of them."""

import numpy as np
import pandas as pd

from cxrflow.cohort.tables import SPLITS
from cxrflow.errors import UserError

ALL = "all"
COLUMNS = ["attribute", "level", "split", "count", "percent", "percent_of", "value"]
FIXED = ["image_id", "patient_id", "study_id", "view", "sex", "age"]
SIZES = {"patients": "patient_id", "studies": "study_id", "images": "image_id"}
QUARTILES = {"median": 0.5, "lower quartile": 0.25, "upper quartile": 0.75}
UNKNOWN, INCONSISTENT = "unknown", "inconsistent"


def table1(manifest: pd.DataFrame, split: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """Return one row per attribute, level and split (train, validate, test, all) with a count or a value.

    - patients, studies, images (level empty): distinct ids; `percent` of those in all splits.
    - view: images; `percent` of the split's images.
    - sex: patients; a patient with two different known sexes is `inconsistent`, one with none `unknown`; `percent` of
      the split's patients.
    - age: `median`, `lower quartile` and `upper quartile` in years (linear interpolation) over patients, each at the
      lowest age known of them, stand in `value`, where `count` is empty; `unknown` counts patients without any
      age, `percent` of the split's patients.
    - each label: images that are present, absent, uncertain, not mentioned; `percent` of the split's images.

    `percent_of` names what `percent` refers to; `percent` is rounded to three decimals and empty in an empty split.
    Raises UserError where an image has no split.
    """
    images = _with_all(manifest[[*FIXED, *labels]], split)
    by_split = images.groupby("split", observed=False)
    sizes = pd.DataFrame({name: by_split[column].nunique() for name, column in SIZES.items()})
    patients = _patients(images)
    parts = [_sizes(sizes)]
    parts.append(_counted("view", _levels(images["view"], images["split"]), sizes["images"], "images"))
    parts.append(_counted("sex", _levels(patients["sex"], patients["split"]), sizes["patients"], "patients"))
    parts += _ages(patients, sizes["patients"])
    parts += [_counted(label, levels, sizes["images"], "images") for label, levels in _labels(images, labels).items()]
    table = pd.concat([part.reindex(columns=COLUMNS) for part in parts if len(part)], ignore_index=True)
    return table.astype({"split": "object", "count": "Int64", "percent": "float64", "value": "float64"})


def _with_all(manifest: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """Return the images with their split, and all of them once more as the split `all`."""
    table = manifest.merge(split[["image_id", "split"]], on="image_id", how="left", validate="one_to_one")
    if table["split"].isna().any():
        raise UserError(
            f"{int(table['split'].isna().sum())} of {len(table)} images have no split.",
            "manifest and split belong to different runs: have both made again.",
        )
    both = pd.concat([table, table.assign(split=ALL)], ignore_index=True)
    both["split"] = pd.Categorical(both["split"], [*SPLITS, ALL])
    return both.assign(age=pd.to_numeric(both["age"]), view=both["view"].fillna(UNKNOWN))


def _patients(images: pd.DataFrame) -> pd.DataFrame:
    """Return one row per split and patient: sex, and the lowest known age."""
    groups = images.groupby(["split", "patient_id"], observed=True)
    patients = groups.agg(sex=("sex", "first"), sexes=("sex", "nunique"), age=("age", "min")).reset_index()
    patients["sex"] = patients["sex"].fillna(UNKNOWN).mask(patients["sexes"] > 1, INCONSISTENT)
    return patients


def _levels(values: pd.Series, split: pd.Series) -> pd.DataFrame:
    """Count values: a row per level that occurs, a column per split."""
    return pd.crosstab(values, split, dropna=False)


def _labels(images: pd.DataFrame, labels: list[str]) -> dict[str, pd.DataFrame]:
    """Count the values of every label at once: label -> a row per level, a column per split."""
    values = images[labels]
    masks = {"present": values == 1.0, "absent": values == 0.0, "uncertain": values == -1.0}
    masks["not mentioned"] = values.isna()
    sums = {level: mask.groupby(images["split"], observed=False).sum() for level, mask in masks.items()}
    return {label: pd.DataFrame({level: sums[level][label] for level in masks}).T for label in labels}


def _sizes(sizes: pd.DataFrame) -> pd.DataFrame:
    parts = [
        _counted(name, sizes[[name]].T.set_axis([""]), pd.Series(sizes.loc[ALL, name], sizes.index), f"all {name}")
        for name in SIZES
    ]
    return pd.concat(parts)


def _ages(patients: pd.DataFrame, totals: pd.Series) -> list[pd.DataFrame]:
    ages = patients.groupby("split", observed=False)["age"]
    values = pd.DataFrame({level: ages.quantile(share) for level, share in QUARTILES.items()}).T
    unknown = (ages.size() - ages.count()).rename(UNKNOWN).to_frame().T
    return [_tidy("age", values, "value"), _counted("age", unknown, totals, "patients")]


def _counted(attribute: str, counts: pd.DataFrame, totals: pd.Series, unit: str) -> pd.DataFrame:
    """Return tidy counts with their share of `totals` (one per split) in per cent."""
    rows = _tidy(attribute, counts, "count")
    share = rows["count"] / rows["split"].astype(object).map(totals).astype(float)
    return rows.assign(percent=(100 * share).round(3), percent_of=unit)


def _tidy(attribute: str, levels: pd.DataFrame, name: str) -> pd.DataFrame:
    """Turn a row per level and a column per split into a row per level and split."""
    order = [*SPLITS, ALL]
    wide = levels.reindex(columns=order)
    columns = {
        "attribute": attribute,
        "level": np.repeat(wide.index.to_numpy(), len(order)),
        "split": np.tile(order, len(wide)),
        name: wide.to_numpy().ravel(),
    }
    return pd.DataFrame(columns)
