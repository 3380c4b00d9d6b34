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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with whole runs, and keep together in one process what looks at the same one (or is in the same file)."""
    runs = {item: _run(item) for item in items}
    for item, run in runs.items():
        item.add_marker(pytest.mark.xdist_group(run if run in RUNS[:2] else item.path.stem))
    order = {name: place for place, name in enumerate([*RUNS, "some other", "none"])}
    items.sort(key=lambda item: order[runs[item]])


def _run(item: pytest.Item) -> str:
    """Return the fixture of the run that a test waits for."""
    if item.get_closest_marker("workflow") is None:
        return "none"
    return next((name for name in RUNS if name in getattr(item, "fixturenames", ())), "some other")
