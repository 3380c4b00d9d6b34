"""The analysis at the published size, from files of predictions to all tables and figures: our time and peak memory.

Predictions are made up: 30 seeds at 20 sparsities, as many test images, patients and classes as ChestX-ray14 has with
the long-tailed labels.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.prunecxr_run import SEEDS, SPARSITIES, TEST_IMAGES
from benchmarks.timing import Comparison, apart

PROCESSES = 2


def analysis(folder: Path) -> Comparison:
    """Return the comparison without a reference; writes 2 GB of predictions into `folder`."""
    _run(folder, _of_seeds("write"))
    name = f"predictions to figures: {SEEDS} seeds, {len(SPARSITIES)} sparsities, {TEST_IMAGES:,} radiographs"
    return Comparison(name, partial(analyse, folder), None, goal=float("nan"), repeats=1)


def analyse(folder: Path) -> dict[str, float]:
    """Run the jobs as the workflow does, two at a time with one thread each; return the largest process's peak memory.

    Neither Snakemake itself nor reading the manifest is in it, and a process measures half of the seeds, where the
    workflow starts one for each.
    """
    steps = _of_seeds("measure"), [["tables"], ["exemplars"]], [["figures"]]
    return {"peak_mb": max(peak for jobs in steps for peak in _run(folder, jobs))}


def _of_seeds(job: str) -> list[list[str]]:
    """Return the job with its share of the seeds, once for each process."""
    return [[job, *map(str, range(first, SEEDS, PROCESSES))] for first in range(PROCESSES)]


def _run(folder: Path, jobs: Sequence[Sequence[str]]) -> list[float]:
    """Run jobs beside each other, each in a process of its own; return their peak memory in MB."""

    def run(job: Sequence[str]) -> float:
        return apart("prunecxr_run", str(folder), *job, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")["peak_mb"]

    with ThreadPoolExecutor(PROCESSES) as pool:
        return list(pool.map(run, jobs))
