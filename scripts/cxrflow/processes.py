"""One process per GPU on one machine: a training script starts itself anew as many times as its rule asks for GPUs.

PyTorch's launcher (torch.distributed.run) gives each process its rank and its device. They train together through
cxrflow/training.py; the first one writes. Without GPUs, processes on the CPU do the same.
"""

import ctypes
import os
import signal
import sys
from typing import Any

from cxrflow.errors import UserError

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>


def is_one_of_several() -> bool:
    """Return whether PyTorch's launcher started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def run_on_gpus(snakemake: Any) -> None:
    """Replace this process by a launcher of one per GPU of the rule; return where one is enough, or in each of them.

    Call it first in a script: whatever was done before it is done again in each process. A process dies with its
    launcher, so that a killed job leaves none behind that would write into the next attempt.
    """
    if is_one_of_several():
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        return
    count = int(snakemake.resources.get("gpu", 1))
    if count > 1:
        _require_devices(count)
        os.execv(sys.executable, launch_command(count, sys.argv[0]))


def launch_command(count: int, script: str) -> list[str]:
    """Return the command that runs a script in `count` processes of this machine, on a free port of its own."""
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", script]


def _require_devices(count: int) -> None:
    import torch

    found = torch.cuda.device_count()
    if torch.cuda.is_available() and found < count:
        raise UserError(
            f"The rule asks for {count} GPUs, this job sees {found}.",
            "Ask for as many as one machine has: --set-resources RULE:gpu=N; on SLURM all of them must be on one node.",
        )
