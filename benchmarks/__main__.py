"""Measure every comparison and write results/benchmarks.csv; tell the overhead of the last run of the workflow.

Names of rooms on the command line choose which.
"""

import os
import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from benchmarks import adapter, clear, clear_downstream, cohort, igcl, neural, patchib, prunecxr, reports
from benchmarks.overhead import overhead
from benchmarks.timing import measure
from cxrflow.files import write_table

MODULES = (adapter, cohort, reports, neural, prunecxr, patchib, igcl, clear, clear_downstream)
ROOMS = {module.__name__.split(".")[1]: module for module in MODULES}

rows = []
for room in sys.argv[1:] or ROOMS:
    with ROOMS[room].comparisons() as comparisons:
        for comparison in comparisons:
            measured = measure(comparison)
            rows.append(asdict(measured))
            print(f"{room}: {measured.name}: {measured.ratio:.4g}", file=sys.stderr)  # the table comes at the end
table = pd.DataFrame(rows)
write_table("results/benchmarks.csv", table)
print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
print(overhead(Path(), os.cpu_count() or 1))
