"""Run Snakemake as a user would, in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def snakemake(root: Path, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the workflow of `root` with its results in `directory`."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "workflow/Snakefile"), "--cores", "2"]
    directory.joinpath("config.yaml").write_text((root / "config.yaml").read_text())
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    return subprocess.run(
        [*command, "--directory", str(directory), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@pytest.fixture
def run(root: Path, tmp_path: Path) -> Run:
    """Return a function that runs the workflow in an empty folder."""
    return lambda *arguments: snakemake(root, tmp_path, *arguments)
