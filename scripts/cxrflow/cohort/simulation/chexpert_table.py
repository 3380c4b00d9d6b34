"""The real training table of CheXpert (Irvin et al., AAAI 2019), read inside an installed package.

223,414 rows of 64,540 patients: what the labeler read from reports, views, ages, sexes. No pixels come with it. The
table of the `valid` part, which experts labelled, is not in the package.
"""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.openi import HINT_ARCHIVE
from cxrflow.cohort.simulation.nih_table import installed_table
from cxrflow.errors import UserError

TABLE = "chexpert_train.csv.gz"
ABOUT = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")
LABELS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
"""In the order of the table's columns."""
COLUMNS = (*ABOUT, *LABELS)
IMAGES = 223_414
"""Rows of the published table."""


def installed_chexpert() -> Path:
    """Return the table inside the installed torchxrayvision."""
    return installed_table(TABLE, "CheXpert")


def read_chexpert_table(path: Path) -> pd.DataFrame:
    """Read the table, every cell as it is written, sorted by path; raise UserError for another header."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    if tuple(table.columns) != COLUMNS:
        raise UserError(f"Expected the columns {list(COLUMNS)} in {path}, found {list(table.columns)}.", HINT_ARCHIVE)
    return table.sort_values("Path", ignore_index=True)
