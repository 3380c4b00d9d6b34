"""Work spread over processes: order, bounds, and what happens when one dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cxrflow.errors import UserError
from cxrflow.workers import AHEAD, forked


def late_or_early(number: int) -> tuple[int, int]:
    time.sleep(0.02 * (number % 3))
    return number, os.getpid()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    with forked(workers) as spread:
        found = list(spread(late_or_early, range(12)))
    assert [number for number, _ in found] == list(range(12))
    assert (os.getpid() in {process for _, process in found}) == (workers == 1)


def test_few_results_wait_for_their_turn() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    with forked(2) as spread:
        assert next(spread(abs, items())) == 1
        assert taken == AHEAD * 2


def refuse(number: int) -> int:
    if number == 3:
        raise UserError("Three.", "Take another.")
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_worker_is_that_of_the_job(workers: int) -> None:
    with pytest.raises(UserError, match=r"Three[\s\S]*Take another"), forked(workers) as spread:
        list(spread(refuse, range(50)))


def die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_killed_worker_is_told_and_not_waited_for() -> None:
    with pytest.raises(UserError, match=r"was killed[\s\S]*Hint: .*memory"), forked(2) as spread:
        list(spread(die, range(50)))


# Starts two workers that write down who they are and then work on and on.
PARENT = """if True:
    import os, sys, time
    from pathlib import Path
    from cxrflow.workers import forked
    def work(number):
        (Path(sys.argv[1]) / f"{os.getpid()}.pid").touch()
        time.sleep(100)
    with forked(2) as spread:
        list(spread(work, range(2)))
"""


def test_workers_end_with_the_process_that_started_them(root: Path, tmp_path: Path) -> None:
    """Left behind, they would write into the files of the next attempt."""
    environment = {**os.environ, "PYTHONPATH": str(root / "scripts")}
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], env=environment) as parent:
        wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
        parent.kill()
    workers = [int(path.stem) for path in tmp_path.iterdir()]
    wait_for(lambda: not any(map(alive, workers)))


def alive(process: int) -> bool:
    """Return whether a process runs: one that ended but that nobody has asked for its exit code does not."""
    status = Path(f"/proc/{process}/stat")
    try:
        return status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
