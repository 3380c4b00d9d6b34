"""Operating points of radiologists, read from a csv, to be drawn on ROC curves."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.errors import UserError

_HINT = (
    "Write the labels as header, then one row of false positive rates per reader, then as many rows of true positive "
    "rates, all from 0 to 1."
)


def read_operating_points(file: Path, labels: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return (R, 2) false and true positive rates of R readers by label, for labels that the file has.

    As published: row r of the first half is reader r's false positive rate, row r of the second half the true one.
    Raises UserError where the file is of another shape.
    """
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise UserError(f"The operating points {file} can't be read: {error}", _HINT) from None
    known = [label for label in labels if label in table]
    if not known or len(table) % 2 or table.empty:
        raise UserError(
            f"{file} has {len(table)} rows and the labels {known}, expected an even number of rows, some of {labels}.",
            _HINT,
        )
    rates = table[known].apply(pd.to_numeric, errors="coerce")
    if not rates.apply(lambda column: column.between(0, 1)).to_numpy().all():
        raise UserError(f"{file} has cells that are no rates from 0 to 1.", _HINT)
    return {label: rates[label].to_numpy(dtype=np.float64).reshape(2, -1).T for label in known}
