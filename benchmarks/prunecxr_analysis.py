"""The analysis at the published size, from files of predictions to all tables and figures: our time and peak memory.

Predictions are made up: 30 seeds at 20 sparsities, as many test images, patients and classes as ChestX-ray14 has with
the long-tailed labels.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from benchmarks.prunecxr_run import SEEDS, SPARSITIES, TEST_IMAGES, write_seed
from benchmarks.timing import Comparison

PROCESSES = 2


def analysis(folder: Path) -> Comparison:
    """Return the comparison without a reference; writes 2 GB of predictions into `folder`."""
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        list(pool.map(partial(write_seed, folder), range(SEEDS)))
    name = f"predictions to figures: {SEEDS} seeds, {len(SPARSITIES)} sparsities, {TEST_IMAGES:,} radiographs"
    return Comparison(name, partial(analyse, folder), None, goal=float("nan"), repeats=1)


def analyse(folder: Path) -> dict[str, float]:
    """Run the jobs as the workflow does, two at a time with one thread each; Snakemake itself is not in it.

    A process measures half of the seeds, where the workflow starts one for each. Returns the peak memory of the
    largest process.
    """
    halves = [["measure", *map(str, range(first, SEEDS, PROCESSES))] for first in range(PROCESSES)]
    with ThreadPoolExecutor(PROCESSES) as pool:
        run = partial(_run, folder)
        peaks = [peak for jobs in (halves, [["tables"], ["exemplars"]], [["figures"]]) for peak in pool.map(run, jobs)]
    return {"peak_mb": max(peaks)}


def _run(folder: Path, job: Sequence[str]) -> float:
    """Run one job in a process of its own and return its peak memory in MB."""
    command = [sys.executable, "-m", "benchmarks.prunecxr_run", str(folder), *job]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | threads)
    return float(json.loads(done.stdout)["peak_mb"])
