"""A results table as one page that sorts, filters and turns its leaves; numbers stay exact in it."""

import csv
import io
import json
import math
import re
from pathlib import Path

_PADDED = re.compile(r"[+-]?0\d")  # 00000012 is the name of a patient or an image
PAGE = Path(__file__).with_name("table_page.html")


def table_page(content: str) -> str:
    """Return the page of a csv (text with a header); what a cell says is shown, never run."""
    columns, *rows = csv.reader(io.StringIO(content))
    data = json.dumps({"columns": columns, "rows": [[_value(cell) for cell in row] for row in rows]})
    return PAGE.read_text(encoding="utf-8").replace("DATA", data.replace("<", "\\u003c"), 1)


def _value(cell: str) -> float | int | str:
    """Return a cell as the number that it is, else as it is written ('nan' and 'inf' are no JSON)."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    if not math.isfinite(number) or cell.strip() != cell or "_" in cell or _PADDED.match(cell):
        return cell
    return int(number) if number.is_integer() and "." not in cell and abs(number) < 2**53 else number
