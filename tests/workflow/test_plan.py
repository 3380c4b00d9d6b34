"""What Snakemake plans, without running it."""

import json
import re
import subprocess
import sys
from typing import get_args

import pytest

from cxrflow.cohort.long_tail import PARTS, label_file
from cxrflow.settings import System

pytestmark = pytest.mark.workflow


def test_the_demo_is_planned_from_the_shipped_configuration_alone(fresh):
    done = fresh.snakemake("--dry-run", "--quiet", "rules")
    assert done.returncode == 0, done.stderr
    assert "neural_train_gnn" in done.stdout + done.stderr


@pytest.fixture
def mimic(fresh):
    folder = fresh.root / "data/mimic-cxr-jpg"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("split", "metadata", "chexpert"):
        (folder / f"mimic-cxr-2.0.0-{name}.csv.gz").touch()
    return fresh


@pytest.mark.parametrize(
    "layers", [["tests/config/mimic.yaml"], ["tests/config/mimic.yaml", "workflow/presets/paper.yaml"]]
)
def test_a_real_cohort_is_planned_with_default_and_published_settings(mimic, layers):
    done = mimic.snakemake("--dry-run", "--quiet", "rules", "--configfile", *layers)
    plan = done.stdout + done.stderr
    assert done.returncode == 0, plan
    assert "neural_train_vlm" in plan
    assert "patchib_train" in plan
    assert "cohort_simulate" not in plan


def test_published_towers_need_no_stand_in(mimic):
    layers = ["tests/config/mimic.yaml", "workflow/presets/paper.yaml"]
    planned = jobs(mimic.snakemake("--dry-run", "--quiet", "rules", "--configfile", *layers).stdout)
    assert planned["patchib_train"] == 16  # five models with three seeds, and the frozen one
    assert planned["patchib_export"] == 6
    assert not {"backbone_train", "patchib_train_towers"} & set(planned)


@pytest.fixture
def nih(fresh):
    folder = fresh.root / "data/nih"
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    (folder / "Data_Entry_2017_v2020.csv").touch()
    for part in PARTS:
        label_file(folder / "labels", "nih-cxr-lt", part).touch()
    return fresh


def jobs(plan: str) -> dict[str, int]:
    """Return the number of jobs of each rule that a dry run tells."""
    rows = [line.split() for line in plan.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def test_the_published_study_is_30_trainings_and_30_sweeps_of_a_data_set(nih):
    layers = ["tests/config/nih.yaml", "workflow/presets/paper.yaml"]
    done = nih.snakemake("--dry-run", "--quiet", "rules", "--configfile", *layers)
    assert done.returncode == 0, done.stdout + done.stderr
    planned = jobs(done.stdout)
    assert planned["prunecxr_train"] == planned["prunecxr_sweep"] == planned["forgetting_measure"] == 30
    assert planned["forgetting_browse"] == 1  # openly published
    assert "neural_train_vlm" not in planned


def test_sparsities_can_be_spread_over_more_jobs(nih):
    layers = ["tests/config/nih.yaml", "workflow/presets/paper.yaml"]
    chunks = ("--config", "prunecxr={sweep: {chunks: 4}}")
    done = nih.snakemake("--dry-run", "--quiet", "rules", "--configfile", *layers, *chunks)
    assert jobs(done.stdout)["prunecxr_sweep"] == 120, done.stdout + done.stderr


def test_no_page_shows_radiographs_of_a_credentialed_cohort_unless_it_is_asked_for(mimic):
    layers = ["--configfile", "tests/config/mimic.yaml"]
    for choice, pages in (("open", 0), ("always", 1)):
        wanted = f"prunecxr={{exemplars: {{browser: {choice}}}}}"
        done = mimic.snakemake(
            "--dry-run", "--quiet", "rules", *layers, "--config", "run={systems: [prunecxr]}", wanted
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert jobs(done.stdout).get("forgetting_browse", 0) == pages


def test_a_mistake_in_the_configuration_is_told_without_a_stack_trace(fresh):
    done = fresh.snakemake("--dry-run", "--config", "neural={gnn: {epoch: 3}}")
    assert done.returncode != 0
    told = done.stdout + done.stderr
    assert "neural.gnn.epoch: unknown key. Did you mean 'epochs'?" in told
    assert "Hint:" in told
    assert "Traceback" not in told


def test_the_rule_graph_is_plain_dot(fresh):
    done = fresh.snakemake("--rulegraph")
    assert done.stdout.startswith("digraph"), done.stdout[:200]


# Dry runs, one after the other in one process: most of a dry run is imports. Between them their names are told.
DRY_RUNS = """
import json, sys
from snakemake.cli import main

for name, arguments in json.loads(sys.argv[1]).items():
    print("run", name, flush=True)
    try:
        main([*arguments, "--cores", "2", "--dry-run", "--quiet", "rules", "--configfile", "tests/config/tiny.yaml"])
    except SystemExit as end:
        print("exit", end.code, flush=True)
"""
SYSTEMS = get_args(System)
SHARED = ("cohort", "reports", "backbone", "forgetting")


@pytest.fixture(scope="module")
def dry_runs(fresh):
    """Plan each system by itself, all together, and one that runs on no cohort."""
    runs = {target: [target] for target in (*SYSTEMS, "all")}
    runs["nowhere"] = ["clear", "--config", "run={systems: [prunecxr], cohorts: [tiny-nih]}"]
    command = [sys.executable, "-c", DRY_RUNS, json.dumps(runs)]
    return subprocess.run(command, cwd=fresh.root, env=fresh.environment(), capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def plans(dry_runs):
    """Return the jobs of each dry run."""
    _, *told = re.split(r"^run (\w+)$", dry_runs.stdout, flags=re.MULTILINE)
    return {name: jobs(plan) for name, plan in zip(told[::2], told[1::2], strict=True)}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_runs_by_itself_with_what_it_needs(plans, system):
    planned = set(plans[system]) - {system, "exit", "total"}
    others = {rule for rule in planned if not rule.startswith((system, *SHARED))}
    if system == "igcl":  # its classifiers may start from towers of patchib
        others -= {"patchib_build_master", "patchib_train_towers", "patchib_train"}
    assert others == set()


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_by_itself_makes_all_that_a_whole_run_makes_of_it(plans, system):
    own = {rule: count for rule, count in plans["all"].items() if rule.startswith(f"{system}_")}
    assert own
    assert {rule: plans[system].get(rule) for rule in own} == own


def test_what_is_forgotten_is_analysed_with_the_system_that_forgets(plans):
    analysed = [plans[system].get("forgetting_measure", 0) for system in SYSTEMS]
    assert sum(analysed) == plans["all"]["forgetting_measure"]


def test_a_system_that_runs_on_no_cohort_is_a_mistake(dry_runs, plans):
    assert [name for name, plan in plans.items() if plan["exit"]] == ["nowhere"]
    _, _, told = (dry_runs.stdout + dry_runs.stderr).partition("clear runs on none of the cohorts ['tiny-nih']")
    assert "Hint: name it in run.systems" in told
