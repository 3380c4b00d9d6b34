"""Jobs and the controller are killed at points drawn from a seed: the re-run ends like a run that was left alone.

`pytest` kills three times, `make test-faults` 30 times (--faults NUMBER, --faults-seed SEED).
"""

import json
import re
import shutil
from pathlib import Path

import pytest
from tests.faults.harness import Folder, Kill, copied, different, orders, resumed

from cxrflow.verification import verify

pytestmark = pytest.mark.workflow


def test_a_killed_run_goes_on_and_ends_like_an_undisturbed_one(
    kill: Kill, undisturbed: Folder, census: Path, tmp_path: Path
) -> None:
    victim, mark = kill.victim, tmp_path / "killed"
    folder = copied(undisturbed, tmp_path / "copy")
    outputs = folder.undo(victim)
    status, said = folder.run(victim.target, SABOTAGE=json.dumps(orders(kill, census, mark)))
    assert mark.exists(), f"nobody was killed:\n{said[-4000:]}"
    assert status != 0
    assert status == -9 or not kill.whole_group
    assert list(different(folder, undisturbed)) == [], "a file is there that is not whole"

    saved, log = folder.epochs_done(victim), folder.log(victim)
    log.unlink(missing_ok=True)
    if kill.forget:
        shutil.rmtree(folder.root / ".snakemake")
    elif kill.whole_group:
        folder.run("--unlock")
    folder.finish(victim.target)
    assert list(different(folder, undisturbed)) == []
    assert all(file.exists() for file in (*outputs, folder.root / victim.target))
    found = verify(folder.results)
    assert (found.altered, found.missing) == ([], [])
    if log.exists():  # else all was there, and nothing was left to do
        assert_went_on(log.read_text(), saved)
        assert [file for file in folder.results.rglob(".*") if file.is_file()] == []
    shutil.rmtree(folder.root)


def assert_went_on(log: str, saved: list[int]) -> None:
    """Training goes on after the epochs that were saved, and computes none of them again."""
    assert resumed(log) == saved
    trained = [int(number) for number in re.findall(r" epoch (\d+)/\d+:", log)]
    assert not saved or trained[:1] in ([], [saved[0] + 1])
