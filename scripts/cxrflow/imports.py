"""Which of the house's modules a script needs, found by reading it: Snakemake then re-runs exactly those rules."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "cxrflow"


def local_imports(script: Path, library: Path) -> list[Path]:
    """Return the files of the package below `library` that `script` imports, directly or through others, sorted.

    Imports inside functions count. A package's `__init__.py` counts with each of its modules, since importing the
    module runs it.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        fresh = _direct_imports(waiting.pop(), library) - found
        found |= fresh
        waiting.extend(fresh)
    return sorted(found)


@cache
def _direct_imports(source: Path, library: Path) -> frozenset[Path]:
    """Return the files that one file imports; most are imported by many, and reading them took most of a start."""
    return frozenset(file for name in set(_imported_names(source)) for file in _files_of(name, library))


def _imported_names(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"), filename=str(source))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def _files_of(name: str, library: Path) -> tuple[Path, ...]:
    parts = name.split(".")
    places = [library.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)] if parts[0] == PACKAGE else []
    candidates = [file for place in places for file in (place / "__init__.py", place.with_suffix(".py"))]
    return tuple(file for file in candidates if file.is_file())
