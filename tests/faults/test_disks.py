"""A full disk and results that can't be written: told with a hint, nothing is spoilt, and a re-run completes."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.harness import SHORT, Folder, copied, different

pytestmark = pytest.mark.workflow

TRAINING = SHORT[0]
LEFT = 48 << 10
"""Bytes that are left on the full disk: enough for a log, too few for the state of a training."""


def mounted(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(undisturbed: Folder, tmp_path: Path) -> Iterator[Folder]:
    """Return a folder whose results lie on a disk of their own, which is full but for LEFT bytes."""
    folder = copied(undisturbed, tmp_path / "copy")
    folder.undo(TRAINING)
    aside = folder.results.rename(tmp_path / "results")
    folder.results.mkdir()
    if not mounted("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder.results)):
        pytest.skip("only root may mount a small disk; test_errors.py limits the size of files instead")
    try:
        shutil.copytree(aside, folder.results, dirs_exist_ok=True)
        status = os.statvfs(folder.results)
        with (folder.results / ".filler").open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, status.f_bavail * status.f_frsize - LEFT)
        yield folder
    finally:
        subprocess.run(["umount", str(folder.results)], check=True)


def test_a_full_disk_is_told_and_the_run_goes_on_once_there_is_space(small_disk: Folder, undisturbed: Folder) -> None:
    status, said = small_disk.run(TRAINING.target)
    assert status == 1
    assert "No space left on device" in said
    assert "Hint: free some space" in said
    assert "Traceback" not in said
    assert list(different(small_disk, undisturbed)) == []
    (small_disk.results / ".filler").unlink()
    small_disk.finish(TRAINING.target)
    assert list(different(small_disk, undisturbed)) == []
    assert (small_disk.root / TRAINING.target).exists()


@pytest.fixture
def read_only(undisturbed: Folder, tmp_path: Path) -> Iterator[Folder]:
    """Return a folder whose results can be read and not written: by a mount for root, by permissions for others."""
    folder = copied(undisturbed, tmp_path / "copy")
    folder.undo(TRAINING)
    place = str(folder.results)
    if os.geteuid() != 0:
        folder.results.chmod(0o500)
    elif not (mounted("--bind", place, place) and mounted("-o", "remount,bind,ro", place)):
        pytest.skip("this root may not mount a folder for reading only")
    yield folder
    writable_again(folder)


def writable_again(folder: Folder) -> None:
    folder.results.chmod(0o700) if os.geteuid() != 0 else subprocess.run(["umount", str(folder.results)], check=False)


def test_results_that_cannot_be_written_are_told_before_anything_runs(read_only: Folder, undisturbed: Folder) -> None:
    status, said = read_only.run(TRAINING.target)
    assert status == 1
    assert "nothing can be written into" in said
    assert "Hint: " in said
    assert "Traceback" not in said
    assert list(different(read_only, undisturbed)) == []
    assert read_only.run("--dry-run", TRAINING.target)[0] == 0  # what is there can still be looked at
    writable_again(read_only)
    read_only.finish(TRAINING.target)
    assert list(different(read_only, undisturbed)) == []
