"""The table of the published settings beside what Snakemake plans for them."""

import subprocess
import sys

import pandas as pd
import pytest
import yaml

from cxrflow.cohort.layouts import raw_files
from cxrflow.config import plain_config
from cxrflow.job_table.plan import read_layers

pytestmark = pytest.mark.workflow
LAYERS = [f"workflow/presets/{name}.yaml" for name in ("paper_cohorts", "paper")]
# These go on where an attempt that ran out of time has ended.
RESUMING = {"clear_pretrain", "igcl_build_graphs", "igcl_transfer"}


@pytest.fixture(scope="module")
def told(fresh):
    """Return what is printed, and the rows."""
    command = [sys.executable, "-m", "cxrflow.job_table", "table.csv"]
    environment = {**fresh.environment(), "PYTHONPATH": "scripts"}
    done = subprocess.run(command, cwd=fresh.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout, pd.read_csv(fresh.root / "table.csv")


def test_the_table_has_the_jobs_of_a_dry_run_and_a_rate_for_each_rule(fresh, told):
    printed, rows = told
    assert rows["hours per job"].notna().all(), rows[rows["hours per job"].isna()]
    assert f"{rows['GPU hours'].sum():,.1f}" in printed
    assert dict(zip(rows["rule"], rows["jobs"], strict=True)) == dry_run(fresh)


def test_the_cluster_gives_each_job_the_time_that_it_takes(root, told):
    profile = yaml.safe_load((root / "workflow/profiles/slurm/config.yaml").read_text())
    attempts = range(1, profile["retries"] + 2)
    for _, rule, hours in told[1][["rule", "hours per job"]].itertuples():
        asked = {**profile["default-resources"], **profile["set-resources"].get(rule, {})}["runtime"]
        assert asked.startswith("attempt * ")
        minutes = int(asked.removeprefix("attempt * "))
        given = sum(attempts) if rule in RESUMING else max(attempts)
        assert hours * 60 <= given * minutes, rule


def dry_run(copy):
    """Return the jobs of each rule that Snakemake plans, for which the raw files have to be there by name."""
    config = read_layers([copy.root / layer for layer in LAYERS])
    cohorts = plain_config(config)["cohorts"]
    for file in (copy.root / file for cohort in config.run.cohorts for file in raw_files(cohorts[cohort])):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    done = copy.snakemake("--dry-run", "--forceall", "--quiet", "rules", "--configfile", *LAYERS)
    assert done.returncode == 0, done.stderr[-4000:]
    counted = [line.split() for line in done.stdout.splitlines()]
    jobs = {row[0]: int(row[1]) for row in counted if len(row) == 2 and row[1].isdigit()}
    return {rule: count for rule, count in jobs.items() if rule not in ("all", "total")}
