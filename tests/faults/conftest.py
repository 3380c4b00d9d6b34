from pathlib import Path

import pytest
from tests.faults.harness import LONG, SHORT, Folder, plan
from tests.workflow.conftest import copy_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kill" in metafunc.fixturenames:
        option = metafunc.config.getoption
        metafunc.parametrize("kill", plan(option("--faults"), option("--faults-seed")), ids=str)


@pytest.fixture(scope="session")
def census(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the jobs of the undisturbed run note what they took."""
    return tmp_path_factory.mktemp("census")


@pytest.fixture(scope="session")
def undisturbed(
    root: Path, census: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Folder:
    """Return a folder in which all that will be killed has run in peace."""
    folder = Folder(copy_of(root, tmp_path_factory.mktemp("undisturbed") / "copy").root)
    victims = SHORT if request.config.getoption("--faults") <= 4 else LONG
    status, said = folder.run(*sorted({victim.target for victim in victims}), CENSUS=str(census))
    assert status == 0, said[-8000:]
    return folder
