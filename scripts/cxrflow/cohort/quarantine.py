"""Every input row that was refused, with the file, the row and the reason: nothing is dropped silently."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cxrflow.errors import UserError
from cxrflow.files import write_table

logger = logging.getLogger(__name__)

COLUMNS = ["file", "row", "rule", "reason"]


def collected(parts: Sequence[Path], hides_ids: bool) -> pd.DataFrame:
    """Return the refused rows of all rules, one after the other.

    With `hides_ids` (credentialed data) a row names the place in its rule's own table, in place of the patient's file
    and id: that table is for its maker alone, this one can be shown.
    """
    tables = [(part, pd.read_csv(part, dtype=str)) for part in parts]
    if hides_ids:
        tables = [(part, _without_ids(part, table)) for part, table in tables]
    return pd.concat([table for _, table in tables], ignore_index=True)


def _without_ids(part: Path, table: pd.DataFrame) -> pd.DataFrame:
    lines = [f"line {number}" for number in range(2, len(table) + 2)]
    return table.assign(file="/".join(part.parts[-2:]), row=lines)


@dataclass
class Quarantine:
    """The refused rows of one rule."""

    rule: str
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, file: str, row: str, reason: str) -> None:
        """Refuse one row of `file` (`row` is its key there, or empty for the whole file)."""
        self.rows.append((file, row, self.rule, reason))

    def add_rows(self, file: str, keys: pd.Series, reason: str) -> None:
        """Refuse many rows of `file` for one reason."""
        self.rows.extend((file, str(key), self.rule, reason) for key in keys)

    def settle(self, path: Path, total: int, on_bad_input: str, maximum_share: float) -> None:
        """Write the rows; raise UserError where the configuration does not tolerate them.

        Snakemake removes the outputs of a job that fails, so the rows are then written beside `path`, to be read.
        """
        table = pd.DataFrame(self.rows, columns=COLUMNS).sort_values(COLUMNS, ignore_index=True)
        kept = path.with_name(f"failed_{path.name}")
        for reason, count in table["reason"].value_counts().items():
            logger.warning("quarantined %d of %d: %s", count, total, reason)
        tolerated = 0.0 if on_bad_input == "fail" else maximum_share
        if len(table) > tolerated * total:
            write_table(kept, table)
            raise UserError(
                f"{len(table)} of {total} input rows were refused, more than the tolerated share of {tolerated:g}. "
                f"They are listed in {kept}. Most often: {table['reason'].mode()[0]}.",
                "mend the input, or raise `maximum_quarantined` of this cohort if the loss is acceptable.",
            )
        kept.unlink(missing_ok=True)
        write_table(path, table)
