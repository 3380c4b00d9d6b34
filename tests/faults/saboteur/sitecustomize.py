"""Imported by every Python that finds this folder in PYTHONPATH: a job of the workflow kills itself where it is told.

SABOTAGE is JSON: `rule` (whose script), `unit` ("operations" or "seconds"), `point` (the number of a file operation
below results/, or seconds of processor time), `whole_group` (the controller dies too), `mark` (a file left by it).
CENSUS is a folder in which each job of an undisturbed run notes how many operations and seconds it took.
"""

import atexit
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

WRITES = os.O_WRONLY | os.O_RDWR


def is_result(path: object) -> bool:
    return isinstance(path, str | os.PathLike) and "results/" in os.fspath(path)


class Listener:
    """Numbers a job's file operations below results/: openings for writing, renamings, removals, and all syncs."""

    def __init__(self, told: Callable[[int], None]) -> None:
        self.told, self.operations, self.lock = told, 0, threading.Lock()
        sys.addaudithook(self.hear)
        self.sync, os.fsync = os.fsync, self.synced

    def hear(self, event: str, arguments: tuple) -> None:
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
        if (opened or event in ("os.rename", "os.remove")) and is_result(arguments[0]):
            self.count()

    def synced(self, descriptor: int) -> None:
        self.count()
        self.sync(descriptor)

    def count(self) -> None:
        with self.lock:
            self.operations += 1
            number = self.operations
        self.told(number)


def census(folder: str, rule: str) -> None:
    """Note at the end what the job took."""
    listener = Listener(lambda number: None)

    def note() -> None:
        with open(f"{folder}/{rule}.json", "w") as file:
            json.dump({"operations": listener.operations, "seconds": time.process_time()}, file)

    atexit.register(note)


def sabotage(order: dict) -> None:
    """Die where the order says so."""

    def kill() -> None:
        with open(order["mark"], "w") as mark:
            mark.write(order["rule"])
        if order["whole_group"]:
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def watch() -> None:
        while time.process_time() < order["point"]:
            time.sleep(0.005)
        kill()

    if order["unit"] == "seconds":
        threading.Thread(target=watch, daemon=True).start()
    else:
        Listener(lambda number: kill() if number == order["point"] else None)


def rule_of(command: list[str]) -> str:
    """Return whose script runs: Snakemake runs a copy named tmp....RULE.py; empty for every other process."""
    name = Path(command[1]).name if len(command) > 1 else ""
    return name.split(".")[1] if name.startswith("tmp") and name.endswith(".py") and name.count(".") == 2 else ""


RULE = rule_of(sys.orig_argv)
if RULE and "CENSUS" in os.environ:
    census(os.environ["CENSUS"], RULE)
if RULE and "SABOTAGE" in os.environ:
    ORDER = json.loads(os.environ["SABOTAGE"])
    if ORDER["rule"] == RULE and not Path(ORDER["mark"]).exists():
        sabotage(ORDER)
