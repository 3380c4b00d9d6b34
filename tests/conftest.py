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
