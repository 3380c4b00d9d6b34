import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
# How long an example takes says more of the machine than of the code: speeds are measured in benchmarks/.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the repository."""
    return ROOT


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", type=int, default=3, help="how often tests/faults kills a job or the whole run")
    parser.addoption("--faults-seed", type=int, default=1, help="what the points in time are drawn from")


# Fixtures that wait for a whole run, the longest first.
RUNS = ("finished", "undisturbed", "done")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files whose tests wait for whole runs: at the end they would keep one process waiting."""
    shortest: dict[Path, int] = {}
    for item in items:
        shortest[item.path] = min(_place(item), shortest.get(item.path, len(RUNS) + 1))
    items.sort(key=lambda item: shortest[item.path])


def _place(item: pytest.Item) -> int:
    """Return a small number for a test that waits for a whole run, a large one for a test of functions."""
    if item.get_closest_marker("workflow") is None:
        return len(RUNS) + 1
    waits = [place for place, name in enumerate(RUNS) if name in getattr(item, "fixturenames", ())]
    return min(waits, default=len(RUNS))


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a copy, for this process alone, of a folder that is made once for all processes that run tests."""
    base = factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"{name}-once"
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            part = factory.mktemp(name) / "part"
            make(part)
            part.rename(shared)
    return Path(shutil.copytree(shared, factory.mktemp(name) / "copy", symlinks=True))
