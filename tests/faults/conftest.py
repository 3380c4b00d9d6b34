from pathlib import Path

import pytest
from tests.conftest import made_once
from tests.faults.harness import LONG, SHORT, Folder, plan
from tests.workflow.conftest import copy_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kill" in metafunc.fixturenames:
        option = metafunc.config.getoption
        metafunc.parametrize("kill", plan(option("--faults"), option("--faults-seed")), ids=str)


@pytest.fixture(scope="session")
def runs(root: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Return a folder with `copy`, in which all that will be killed has run in peace, and `census`."""
    victims = SHORT if request.config.getoption("--faults") <= 4 else LONG

    def make(target: Path) -> None:
        census = target / "census"
        census.mkdir(parents=True)
        folder = Folder(copy_of(root, target / "copy").root)
        status, said = folder.run(*sorted({victim.target for victim in victims}), CENSUS=str(census))
        assert status == 0, said[-8000:]

    return made_once(tmp_path_factory, "undisturbed", make)


@pytest.fixture(scope="session")
def census(runs: Path) -> Path:
    """Return the folder in which the jobs of the undisturbed run noted what they took."""
    return runs / "census"


@pytest.fixture(scope="session")
def undisturbed(runs: Path) -> Folder:
    """Return a folder in which all that will be killed has run in peace."""
    return Folder(runs / "copy")
