"""Trouble with a disk is told with its reason and a hint, whatever a library made of it; raw files are not named."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from cxrflow.errors import disk_error
from cxrflow.files import atomic_array, atomic_path, write_table
from cxrflow.training import Progress, Resume, _save

FLOATS = 300_000
LIMIT = 1 << 20


def as_state(path: Path) -> None:
    model = torch.nn.Linear(FLOATS, 1)
    _save(Resume(path, "x"), model, torch.optim.SGD(model.parameters()), Progress([], {}))


def as_array(path: Path) -> None:
    with atomic_path(path) as temporary:
        np.save(temporary, np.random.default_rng(0).random(FLOATS))


def as_arrays(path: Path) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, numbers=np.random.default_rng(0).random(FLOATS))


def as_memory_map(path: Path) -> None:
    with atomic_array(path, np.float64, (FLOATS,)) as array:
        array[:] = 1


def as_weights(path: Path) -> None:
    with atomic_path(path) as temporary:
        save_file({"weight": torch.randn(FLOATS)}, str(temporary))


def as_table(path: Path) -> None:
    write_table(path, pd.DataFrame({"x": np.random.default_rng(0).random(FLOATS)}))


WRITERS: dict[str, Callable[[Path], None]] = {
    "state.pt": as_state,
    "array.npy": as_array,
    "arrays.npz": as_arrays,
    "mapped.npy": as_memory_map,
    "weights.safetensors": as_weights,
    "table.csv": as_table,
    "table.parquet": as_table,
}


@pytest.fixture
def limited():
    """Let no file grow beyond a megabyte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_may_not_grow_is_told_with_a_hint_and_the_old_one_stays(name: str, tmp_path: Path, limited):
    (tmp_path / name).write_text("before")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each library has its own
        WRITERS[name](tmp_path / name)
    told = disk_error(caught.value, tmp_path)
    assert told is not None, repr(caught.value)
    assert "Hint: " in str(told)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "before"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO])
def test_the_reason_is_found_below_what_a_library_made_of_it(code: int):
    wrapped = RuntimeError("unexpected pos 576 vs 534")
    wrapped.__context__ = OSError(code, os.strerror(code))
    assert os.strerror(code) in str(disk_error(wrapped, Path("results")))


def test_a_file_is_named_only_below_the_results():
    for name, named in (("results/c/table.csv", True), ("/data/p10/p10000032/s5/report.txt", False)):
        told = str(disk_error(PermissionError(errno.EACCES, "Permission denied", name), Path("results")))
        assert (name in told) is named
        assert "p10000032" not in told


@pytest.mark.parametrize("error", [ValueError("x"), FileNotFoundError(errno.ENOENT, "No such file", "a"), KeyError(28)])
def test_other_errors_are_no_trouble_with_the_disk(error: Exception):
    assert disk_error(error, Path("results")) is None


SCRIPT = """
import types
from cxrflow.logs import script_run
about = types.SimpleNamespace(rule="x", log=["results/logs/x.log"], output=["results/x.csv"])
with script_run(about):
    raise OSError(28, "No space left on device", "results/x.csv")
"""


def test_a_job_says_what_is_wrong_and_no_more(root: Path, tmp_path: Path):
    (tmp_path / "results/logs").mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(root / "scripts")}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No space left on device: results/x.csv" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Hint: " in (tmp_path / "results/logs/x.log").read_text()


def handled_and_then_another() -> None:
    try:
        raise PermissionError(errno.EACCES, "Permission denied")
    except PermissionError:
        raise ValueError("something else") from None


def test_a_trouble_that_was_handled_is_no_reason_for_what_came_after(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="something else") as caught:
        handled_and_then_another()
    assert disk_error(caught.value, tmp_path) is None
