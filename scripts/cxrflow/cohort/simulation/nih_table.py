"""The real table of ChestX-ray14 (Wang et al., CVPR 2017), read inside an installed package.

112,120 rows of 30,805 patients: what was found, views, ages, sexes, follow-ups, sizes. No pixels come with it.
"""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.openi import HINT_ARCHIVE, installed_archive
from cxrflow.errors import UserError

TABLE = "Data_Entry_2017_v2020.csv.gz"
COLUMNS = (
    "Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender", "View Position",
    "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]",
)  # fmt: skip
"""Columns as they are parsed: two brackets of the published header contain a comma."""
IMAGES, NO_FINDINGS = 112_120, 60_361
"""Rows of the published table, and those of them with No Finding."""


def installed_table(name: str = TABLE, of: str = "ChestX-ray14") -> Path:
    """Return a table inside the installed torchxrayvision, without importing that package (it imports torch)."""
    path = installed_archive().with_name(name)
    if not path.is_file():
        raise UserError(f"Expected the table of {of} at {path}, found no such file.", HINT_ARCHIVE)
    return path


def read_nih_table(path: Path) -> pd.DataFrame:
    """Read the table, every cell as it is written, sorted by patient and image; raise UserError for another header."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    if tuple(table.columns) != COLUMNS:
        raise UserError(f"Expected the columns {list(COLUMNS)} in {path}, found {list(table.columns)}.", HINT_ARCHIVE)
    return table.sort_values("Image Index", ignore_index=True)  # names begin with the patient's number
