"""CheXpert (Irvin et al., AAAI 2019), full size or small: patient and study are told by the paths alone."""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.adapters.raw import RawCohort, Source, read_table, refuse, with_label_values
from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.layouts import CHEXPERT_TABLES
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings

_COLUMNS = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA"]
_TAIL = r"(?:^|/)(patient\d+)/(study\d+)/(view\d+_[a-z]+)\.[a-z]+$"
_SEXES = {"Male": "M", "Female": "F"}


def read_chexpert(source: Source, settings: ReadingSettings, refused: Quarantine) -> RawCohort:
    """Read CheXpert; official_split is `train` or `valid`, as its two tables are called."""
    parts = [(file, _part(source.tables / file, refused)) for file in CHEXPERT_TABLES]
    images = pd.concat([part.assign(official_split=Path(file).stem) for file, (part, _) in parts], ignore_index=True)
    images["path"] = below_root(images["path"], source.root)
    return RawCohort(images, CHEXPERT_LABELS, " and ".join(CHEXPERT_TABLES), sum(rows for _, (_, rows) in parts))


def _part(path: Path, refused: Quarantine) -> tuple[pd.DataFrame, int]:
    """Return the usable rows of one table, and the number of all its rows."""
    table = read_table(path, [*_COLUMNS, *CHEXPERT_LABELS])
    rows = len(table)
    table = with_label_values(table, CHEXPERT_LABELS, "Path", path.name, refused)
    table = with_ids_and_view(table, "Path", "Frontal/Lateral", "AP/PA", path.name, refused)
    table = table.assign(path=table["Path"], sex=sexes(table["Sex"]), age=adult_ages(table["Age"]))
    columns = ["image_id", "patient_id", "study_id", "path", "view", "sex", "age", *CHEXPERT_LABELS]
    return table[columns], rows


def with_ids_and_view(
    table: pd.DataFrame, path: str, side: str, position: str, file: str, refused: Quarantine
) -> pd.DataFrame:
    """Add image_id, patient_id, study_id and view from the columns named `path`, `side` and `position`.

    Ids: patient00001_study1_view1_frontal, patient00001, patient00001_study1. Rows whose path has no patient, study and
    view, or that are neither frontal nor lateral, are refused.
    """
    ids = ids_of(table[path])
    table = pd.concat([table, ids, views(table[side], table[position]).rename("view")], axis="columns")
    table = refuse(table, table["image_id"].isna(), path, file, "the path names no patient, study and view", refused)
    return refuse(table, table["view"].isna(), path, file, "the image is neither frontal nor lateral", refused)


def ids_of(paths: pd.Series) -> pd.DataFrame:
    """Return image_id, patient_id and study_id from the ends of the paths; all null where a path has none."""
    parts = paths.str.extract(_TAIL)
    study = parts[0] + "_" + parts[1]
    return pd.DataFrame({"image_id": study + "_" + parts[2], "patient_id": parts[0], "study_id": study})


def views(side: pd.Series, position: pd.Series) -> pd.Series:
    """Return AP or PA, FRONTAL where a frontal view is neither (lying on a side, or untold), LATERAL, or null."""
    frontal = position.where(position.isin(["AP", "PA"]), "FRONTAL")
    return frontal.where(side == "Frontal", side.map({"Lateral": "LATERAL"}))


def adult_ages(written: pd.Series) -> pd.Series:
    """Return ages in years. All patients are adults: the age 0 of three training images means that it is not known."""
    years = pd.to_numeric(written, errors="coerce")
    return years.where(years > 0)


def sexes(written: pd.Series) -> pd.Series:
    """Return M, F or null (one training image says 'Unknown')."""
    return written.map(_SEXES)


def below_root(paths: pd.Series, root: Path) -> pd.Series:
    """Return the paths relative to `root`: the data set's own name is dropped where root is that folder.

    Tables write `CheXpert-v1.0-small/train/...`; root may be that folder or the one that holds it.
    """
    prefix = paths.str.extract(r"^(CheXpert-v1\.0[^/]*)/", expand=False)
    inside = {name for name in prefix.dropna().unique() if not (root / name).is_dir()}
    return paths.where(~prefix.isin(inside), paths.str.replace(r"^[^/]*/", "", regex=True))
