"""Measure every comparison and write results/benchmarks.csv; tell the overhead of the last run of the workflow.

Names of rooms on the command line choose which. Each room has a process of its own: threads and memory that one has
set would change the times of the next.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from benchmarks.overhead import overhead
from benchmarks.rooms import ROOMS, measured
from cxrflow.files import write_table

with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
    rows = [asdict(one) for found in pool.map(measured, sys.argv[1:] or ROOMS) for one in found]
table = pd.DataFrame(rows)
write_table("results/benchmarks.csv", table)
print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
print(overhead(Path(), os.cpu_count() or 1))
