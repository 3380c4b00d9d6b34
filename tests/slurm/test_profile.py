"""The SLURM profile agrees with the rules, and stops while a name is left open. Needs no cluster."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from tests.slurm.profile import filled_in, shipped
from tests.workflow.conftest import Copy

from cxrflow.errors import UserError
from cxrflow.profiles import require_filled_in


def rules(root: Path) -> dict[str, str]:
    """Return the text of every rule by its name."""
    texts = [file.read_text() for file in sorted((root / "rules").glob("*.smk"))]
    blocks = [block for text in texts for block in re.split(r"(?m)^(?=rule )", text)[1:]]
    return {block.split(":", 1)[0].split()[1]: block for block in blocks}


@pytest.fixture(scope="module")
def profile(root: Path) -> dict:
    return yaml.safe_load(shipped(root))


def test_rules_that_use_a_gpu_and_no_others_are_on_its_partition(root: Path, profile: dict) -> None:
    wanted = {name for name, text in rules(root).items() if "gpu=" in text}
    on_gpu = {name for name, asked in profile["set-resources"].items() if "GPU" in asked.get("slurm_partition", "")}
    assert on_gpu == wanted
    assert "prunecxr_train" in wanted


def test_every_rule_that_the_profile_names_is_there(root: Path, profile: dict) -> None:
    assert {*profile["set-resources"], *profile["groups"]} <= set(rules(root))
    assert set(profile["group-components"]) == set(profile["groups"].values())


def test_memory_and_time_grow_with_the_attempt(profile: dict) -> None:
    asked = [profile["default-resources"], *profile["set-resources"].values()]
    for name in ("mem_mb", "runtime"):
        values = [resources[name] for resources in asked]
        for value in values:
            first, second = (eval(value, {"attempt": attempt}) for attempt in (1, 2))
            assert second == 2 * first
            assert first >= {"mem_mb": 600, "runtime": 1}[name]


def test_retries_are_in_the_profile_alone(root: Path, profile: dict) -> None:
    assert profile["retries"] > 0
    assert [name for name, text in rules(root).items() if "retries:" in text] == []


def test_a_group_fits_a_usual_node(profile: dict) -> None:
    default = profile["default-resources"]["mem_mb"]
    for group, components in profile["group-components"].items():
        members = [name for name, its in profile["groups"].items() if its == group]
        each = [profile["set-resources"].get(name, {}).get("mem_mb", default) for name in members]
        assert components * max(eval(value, {"attempt": profile["retries"] + 1}) for value in each) <= 64_000


@pytest.mark.parametrize("name", ["slurm_account", "slurm_partition"])
def test_a_name_left_open_is_an_error_with_a_hint(name: str) -> None:
    require_filled_in([None, {}, {name: "radiology", "mem_mb": 4000}])
    with pytest.raises(UserError, match=rf"{name} \(YOUR_(.|\n)*Hint:"):
        require_filled_in([None, {"mem_mb": 1}, {name: "YOUR_NAME"}])


@pytest.mark.workflow
def test_a_run_stops_while_a_name_is_left_open(fresh: Copy) -> None:
    done = fresh.tiny("--dry-run", "--workflow-profile", "workflow/profiles/slurm")
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert "YOUR_ACCOUNT" in told
    assert "YOUR_GPU_PARTITION" in told
    assert "docs/slurm.md" in told
    assert "Traceback" not in told


@pytest.mark.workflow
@pytest.mark.skipif(shutil.which("sbatch") is None, reason="Snakemake's plugin wants SLURM's commands (`make slurm`)")
def test_the_filled_in_profile_plans_the_same_jobs(fresh: Copy, root: Path, tmp_path: Path) -> None:
    done = fresh.tiny("--dry-run", "--quiet", "rules", "--workflow-profile", str(filled_in(root, tmp_path)))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    planned = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit() and row[0] != "total"}
    assert planned == fresh.planned()
