"""Run Snakemake as a user would, in a copy of the repository."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import made_once
from tests.workflow.warm import warm_interpreter

OFFLINE = Path(__file__).parent / "offline"
PARTS = ("config.yaml", "workflow", "rules", "scripts", "envs", "tests/config")


@dataclass(frozen=True)
class Copy:
    """A copy of the repository, with its own results."""

    root: Path
    hash_seed: str = "0"

    def snakemake(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in the root of the copy, with `more` in its environment."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        environment = {**self.environment(), **more}
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)

    def warm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake with jobs that need not import anything (warm.py)."""
        with warm_interpreter(self.environment()) as address:
            return self.snakemake(*arguments, CXRFLOW_WARM=address)

    def environment(self) -> dict[str, str]:
        """Return the environment of every process of the copy."""
        return {**os.environ, "PYTHONHASHSEED": self.hash_seed, **offline(self.root)}

    def tiny(self, *arguments: str, layers: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run the small end-to-end configuration, with more files layered over it."""
        return self.snakemake(*arguments, "--configfile", "tests/config/tiny.yaml", *layers)

    def report(self, *arguments: str) -> tuple[Path, str]:
        """Make the report as `make report` does; return it, and what was printed meanwhile."""
        path = self.root / "results/report.html"
        done = self.snakemake("--report", "results/report.html", *arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        command = [sys.executable, "-m", "cxrflow.report.page", str(path)]
        subprocess.run(command, env={"PYTHONPATH": str(self.root / "scripts")}, check=True)
        return path, done.stdout + done.stderr

    def planned(self, *layers: str) -> dict[str, int]:
        """Return how many jobs of each rule a dry run of the small configuration plans."""
        done = self.tiny("--dry-run", "--quiet", "rules", layers=layers)
        assert done.returncode == 0, done.stderr
        rows = [line.split() for line in (done.stdout + done.stderr).splitlines()]
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit() and row[0] != "total"}


def offline(root: Path) -> dict[str, str]:
    """Return the environment in which no process reaches the network, and each notes below `root` that it tried."""
    return {"PYTHONPATH": str(OFFLINE), "CXRFLOW_OFFLINE": str(root / "offline")}


def copy_of(root: Path, target: Path, hash_seed: str = "0") -> Copy:
    """Copy what runs; nothing of the original can be touched by a test."""
    for part in PARTS:
        source, place = root / part, target / part
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, place)
    return Copy(target, hash_seed)


@pytest.fixture(scope="session")
def fresh(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Return a copy in which nothing has run."""
    return copy_of(root, tmp_path_factory.mktemp("fresh"))


def run_small(root: Path, target: Path) -> None:
    """Run the small configuration from raw files to figures in a copy of the repository."""
    require_success(copy_of(root, target, "1").tiny())


def require_success(done: subprocess.CompletedProcess[str]) -> None:
    """Fail with what a run said where it failed."""
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]


@pytest.fixture(scope="session")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Return a copy in which the small configuration has finished."""
    return Copy(made_once(tmp_path_factory, "finished", lambda target: run_small(root, target)), "1")


@pytest.fixture(scope="session")
def finished_again(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Return a second, independent run of the same configuration, with another hash seed and without figures."""
    figures = sorted(script.stem for script in (root / "scripts").glob("*_plot_*.py"))
    figures += ["cohort_contact_sheet", "forgetting_browse"]
    copy = copy_of(root, tmp_path_factory.mktemp("again"), "2")
    require_success(copy.warm("--omit-from", *figures, "--configfile", "tests/config/tiny.yaml"))
    return copy
