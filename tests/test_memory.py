"""Freed memory stays with the process: what is allocated again costs no page faults."""

import subprocess
import sys

PROGRAM = """
import resource
import numpy as np
from cxrflow.memory import keep_freed_memory
{first}
for _ in range(20):
    np.ones(2_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(8_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(root, first: str) -> int:
    """Return the page faults of twenty arrays of 64 MB, one after the other, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first=first)],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": str(root / "scripts")},
    )  # fmt: skip
    return int(done.stdout)


def test_memory_is_cleared_once_and_not_for_every_array(root):
    assert faults(root, "keep_freed_memory()") < faults(root, "pass") / 5
