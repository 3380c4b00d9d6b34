"""The rooms that are measured, and what the comparisons of one measure."""

import sys

from benchmarks import adapter, clear, clear_downstream, cohort, igcl, neural, patchib, prunecxr, reports
from benchmarks.timing import Measured, measure

MODULES = (adapter, cohort, reports, neural, prunecxr, patchib, igcl, clear, clear_downstream)
ROOMS = {module.__name__.split(".")[1]: module for module in MODULES}


def measured(room: str) -> list[Measured]:
    """Measure the comparisons of a room, and tell the ratios as they come: the table comes at the end."""
    found = []
    with ROOMS[room].comparisons() as comparisons:
        for comparison in comparisons:
            found.append(measure(comparison))
            print(f"{room}: {found[-1].name}: {found[-1].ratio:.4g}", file=sys.stderr)
    return found
