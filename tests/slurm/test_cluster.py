"""The profile on a real SLURM of two nodes with a GPU each: what fails is tried again with more, GPUs are never shared,
and a run whose controller was killed ends with the tables of a local one. Skipped where SLURM can't be started."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from tests.slurm.cluster import NODES, Cluster, why_not
from tests.slurm.profile import filled_in
from tests.workflow.conftest import copy_of

pytestmark = [pytest.mark.workflow, pytest.mark.cluster]

SEEDS = range(3)  # more than there are GPUs
TRAINED = [f"results/tiny-nih/prunecxr/training/seed_{seed}" for seed in SEEDS]
TARGETS = [*(f"{stem}.safetensors" for stem in TRAINED), "results/tiny-nih/cohort/table1.csv"]
SETTINGS = ("--configfile", "tests/config/tiny.yaml", "--config", f"prunecxr={{training: {{seeds: {list(SEEDS)}}}}}")
HASTE = ("--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    trial = Cluster(tmp_path_factory.mktemp("slurm"))
    trial.start()
    try:
        yield trial
    finally:
        trial.stop()
    assert trial.remaining() == []


@pytest.fixture(scope="module")
def profile(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled_in(root, tmp_path_factory.mktemp("profile"))


@contextmanager
def snakemake(cluster: Cluster, folder: Path, profile: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run Snakemake in a process group of its own, with its output in a file; what still runs at the end is killed."""
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", str(profile), *HASTE, *arguments]
    with (folder / "output.txt").open("ab") as output:
        run = subprocess.Popen(
            command, cwd=folder, env=cluster.environment(), stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield run
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()


def finish(run: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for a run that must succeed."""
    assert run.wait(timeout=900) == 0, (folder / "output.txt").read_text()[-6000:]


def wait_for(condition: Callable[[], object], run: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + 900
    while not condition():
        assert run.poll() is None, (folder / "output.txt").read_text()[-6000:]
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def mended(cluster: Cluster, profile: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run in which one job failed, one ran out of time and one was cancelled."""
    folder = tmp_path_factory.mktemp("mended")
    (folder / "Snakefile").write_text((root / "tests/slurm/Snakefile").read_text())
    short = ("--set-resources", "takes_too_long:runtime=attempt")
    with snakemake(cluster, folder, profile, *short) as run:
        wait_for(lambda: submitted(folder, "is_cancelled"), run, folder)
        (number,) = submitted(folder, "is_cancelled")
        wait_for(lambda: number in cluster.run("squeue", "-h", "-tR", "-o%i").split(), run, folder)
        cluster.run("scancel", number)
        finish(run, folder)
    return folder


def attempts(cluster: Cluster, folder: Path, rule: str) -> list[dict[str, str]]:
    """Return what SLURM says of the attempts at a rule's job."""
    told = {job["JobId"]: job for job in cluster.finished_jobs()}
    return [told[number] for number in submitted(folder, rule)]


def submitted(folder: Path, rule: str) -> list[str]:
    """Return the numbers of the jobs that Snakemake submitted for a rule, in order."""
    return re.findall(rf"submitted with SLURM jobid (\d+) \(log: \S*/rule_{rule}/", (folder / "output.txt").read_text())


@pytest.mark.parametrize(
    ("rule", "end"), [("stumbles", "FAILED"), ("takes_too_long", "TIMEOUT"), ("is_cancelled", "CANCELLED")]
)
def test_what_goes_wrong_is_tried_again_with_more(cluster: Cluster, mended: Path, rule: str, end: str) -> None:
    jobs = attempts(cluster, mended, rule)
    assert len(jobs) > 1
    assert (jobs[0]["JobState"], jobs[-1]["JobState"]) == (end, "COMPLETED")
    for number, job in enumerate(jobs, start=1):
        assert memory(job) == number * memory(jobs[0])
        assert int(job["TimeLimit"]) == number * int(jobs[0]["TimeLimit"])


def memory(job: dict[str, str]) -> float:
    """Return megabytes of what SLURM writes as 4000M or 4G."""
    text = dict(part.split("=") for part in job["Tres"].split(","))["mem"]
    return float(text[:-1]) * {"M": 1, "G": 1024}[text[-1]]


@pytest.fixture(scope="module")
def local(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the same run without a cluster."""
    copy = copy_of(root, tmp_path_factory.mktemp("local"))
    done = copy.snakemake(*SETTINGS, "--", *TARGETS)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    return copy.root


@pytest.fixture(scope="module")
def recovered(cluster: Cluster, profile: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run on the cluster whose controller was killed while jobs trained, and was run again."""
    folder = copy_of(root, tmp_path_factory.mktemp("recovered")).root
    with snakemake(cluster, folder, profile, *SETTINGS, "--", *TARGETS) as run:
        wait_for(lambda: cluster.run("squeue", "-hpgpu", "-tR"), run, folder)
    assert cluster.run("squeue", "-h", "-tR"), "the jobs of a killed controller run on"
    cluster.cancel_all()
    unlocked = [sys.executable, "-m", "snakemake", "--workflow-profile", str(profile), "--unlock", *SETTINGS]
    subprocess.run(unlocked, cwd=folder, env=cluster.environment(), capture_output=True, check=True)
    with snakemake(cluster, folder, profile, *SETTINGS, "--", *TARGETS) as run:
        finish(run, folder)
    return folder


def test_a_run_whose_controller_was_killed_ends_with_the_tables_of_a_local_one(recovered: Path, local: Path) -> None:
    tables = [*(f"{stem}{end}" for stem in TRAINED for end in (".safetensors", "_history.csv", "_validation.parquet"))]
    tables += [f"results/tiny-nih/cohort/{name}" for name in ("manifest.parquet", "split.parquet", "table1.csv")]
    assert [name for name in tables if (recovered / name).read_bytes() != (local / name).read_bytes()] == []


def test_a_rule_that_was_done_before_the_kill_is_not_done_again(recovered: Path) -> None:
    assert (recovered / "output.txt").read_text().count("Simulating the images of tiny-nih") == 1


def test_there_are_never_more_gpu_jobs_than_gpus(cluster: Cluster, recovered: Path) -> None:
    jobs = [job for job in cluster.finished_jobs() if job["Partition"] == "gpu" and job["StartTime"] != "Unknown"]
    assert len([job for job in jobs if job["JobState"] == "COMPLETED"]) >= len(SEEDS)
    spans = [(when(job["StartTime"]), when(job["EndTime"])) for job in jobs]
    assert max(sum(start <= moment < end for start, end in spans) for moment, _ in spans) <= NODES


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)
