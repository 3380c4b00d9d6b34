"""Measure every comparison and write results/benchmarks.csv; tell the overhead of the last run of the workflow."""

import os
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from benchmarks import adapter, cohort, neural, patchib, prunecxr, reports
from benchmarks.overhead import overhead
from benchmarks.timing import measure
from cxrflow.files import write_table

rows = []
for room in (adapter, cohort, reports, neural, prunecxr, patchib):
    with room.comparisons() as comparisons:
        rows += [asdict(measure(comparison)) for comparison in comparisons]
table = pd.DataFrame(rows)
write_table("results/benchmarks.csv", table)
print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
print(overhead(Path(), os.cpu_count() or 1))
