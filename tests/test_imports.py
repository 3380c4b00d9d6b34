from graphlib import TopologicalSorter
from typing import get_args

import pytest

from cxrflow.imports import _direct_imports, local_imports
from cxrflow.settings import System

SYSTEMS = get_args(System)


def test_direct_indirect_and_local_imports_are_found_and_nothing_else(tmp_path):
    package = tmp_path / "cxrflow"
    (package / "room").mkdir(parents=True)
    for name, text in {
        "__init__.py": "",
        "room/__init__.py": "",
        "room/door.py": "import numpy\n\ndef f():\n    from cxrflow import lock\n",
        "lock.py": "import cxrflow.key as key\n",
        "key.py": "import cxrflow.lock\n",
        "unused.py": "",
    }.items():
        (package / name).write_text(text)
    script = tmp_path / "script.py"
    script.write_text("from cxrflow.room.door import f\n")
    names = [str(file.relative_to(package)) for file in local_imports(script, tmp_path)]
    assert names == ["__init__.py", "key.py", "lock.py", "room/__init__.py", "room/door.py"]


@pytest.fixture(scope="module")
def needs(root) -> dict[str, set[str]]:
    """Which rooms, and modules of the library, each of them imports."""
    package, found = root / "scripts/cxrflow", dict[str, set[str]]()
    for file in package.rglob("*.py"):
        room = file.relative_to(package).parts[0]
        others = {needed.relative_to(package).parts[0] for needed in _direct_imports(file, package.parent)}
        found.setdefault(room, set()).update(others - {room, "__init__.py"})
    return found


def test_no_two_rooms_need_each_other(needs):
    assert list(TopologicalSorter(needs).static_order()), "a circle raises CycleError, and names it"


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_needs_no_other(needs, system):
    assert not needs[system] & set(SYSTEMS) - {system}
