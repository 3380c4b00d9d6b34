"""The image is built from the lock files alone, on the Python of the lock, and runs as any user."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

LOCKS = {"requirements.lock", "requirements-nodeps.lock"}


@pytest.fixture
def steps(root: Path) -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments, continued lines joined."""
    lines = [line for line in (root / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(step.split(maxsplit=1)[0], step.split(maxsplit=1)[1]) for step in joined.splitlines() if step]


def of(steps: list[tuple[str, str]], name: str) -> list[str]:
    return [argument for instruction, argument in steps if instruction == name]


def test_a_linter_of_dockerfiles_has_nothing_to_say(root):
    command = [str(Path(sys.executable).parent / "hadolint"), "--no-color", "Dockerfile"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_has_the_python_that_the_project_requires(root, steps):
    required = re.search(r'requires-python = "==(3\.\d+)\.\*"', (root / "pyproject.toml").read_text())
    assert [re.match(r"python:(\d+\.\d+)-", image)[1] for image in of(steps, "FROM")] == [required[1]]
    assert f"python{required[1]} -m venv" in " ".join(of(steps, "RUN"))


def test_the_lock_files_and_nothing_else_are_copied_and_installed(steps):
    (copied,) = of(steps, "COPY")
    assert set(copied.split()[:-1]) == LOCKS
    installed = set(re.findall(r"(--no-deps )?-r (\S+)", " ".join(of(steps, "RUN"))))
    assert installed == {("", "requirements.lock"), ("--no-deps ", "requirements-nodeps.lock")}


def test_nothing_else_can_get_into_the_image(root):
    rules = [line for line in (root / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules[1:]} == LOCKS
    assert all((root / name).is_file() for name in LOCKS)


def test_it_runs_without_root_and_writes_nowhere_but_the_mounted_folder_and_tmp(steps):
    names = [instruction for instruction, _ in steps]
    assert of(steps, "USER") == ["1000:1000"]
    assert not {"RUN", "COPY", "ADD"} & set(names[names.index("USER") :])
    assert of(steps, "WORKDIR")[-1] == "/work"
    settings = dict(re.findall(r"(\w+)=(\S+)", " ".join(of(steps, "ENV"))))
    assert settings["HOME"] == "/tmp"
    assert not [value for value in settings.values() if value.startswith("/root")]
    assert "/root" not in " ".join(argument for _, argument in steps)


def test_the_image_is_snakemake(steps):
    assert json.loads(of(steps, "ENTRYPOINT")[0]) == ["snakemake"]
