"""An interpreter that has imported what jobs import, and runs each job's script in a fork of itself.

Most of a small job's time goes into imports. Of several whole runs of the tests the first pays for them as a user does;
the others are started inside `warm_interpreter`, and then each job's own interpreter hands its script over as it starts
(offline/sitecustomize.py): the same script, folder, environment and files, in a process that dies with it.
"""

import atexit
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IMPORTED = (
    "snakemake.script", "numpy", "pandas", "pyarrow.parquet", "PIL.Image", "scipy.stats", "sklearn.linear_model",
    "matplotlib.pyplot", "pydantic", "torch", "torch._dynamo", "accelerate", "safetensors.torch", "timm", "open_clip",
    "transformers.models.t5.modeling_t5", "transformers.models.bert.modeling_bert", "spacy",
)  # fmt: skip
LARGEST = 1 << 20  # bytes of an order


@contextmanager
def warm_interpreter(environment: dict[str, str]) -> Iterator[str]:
    """Start such an interpreter in an environment; yield its address, which jobs that shall use it find in their own.

    The address is CXRFLOW_WARM in the environment of the run.
    """
    with tempfile.TemporaryDirectory() as folder:  # whose name is short: that of a socket may have 107 characters
        command = [sys.executable, __file__, f"{folder}/warm"]
        environment = {**environment, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                assert server.stdout.readline() == "ready\n"
                yield command[-1]
            finally:
                server.kill()


def serve(address: str) -> None:
    """Import, then run what is handed over until killed."""
    for name in IMPORTED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks: each tells its own status
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            line, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                answer(line)
            line.close()


def answer(line: socket.socket) -> None:
    """Become the job that is ordered, tell its status, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    content, files, *_ = socket.recv_fds(line, LARGEST, 3)
    while more := line.recv(LARGEST):
        content += more
    order = json.loads(content)
    for place, file in enumerate(files):
        os.dup2(file, place)
    os.chdir(order["folder"])
    os.umask(order["umask"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv, sys.path[0] = order["arguments"], str(Path(order["arguments"][0]).parent)
    status = ran(sys.argv[0])
    line.send(bytes([status]))
    os._exit(status)


def ran(script: str) -> int:
    """Run a script as its own interpreter would; return the status that it would end with."""
    status = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    serve(sys.argv[1])
