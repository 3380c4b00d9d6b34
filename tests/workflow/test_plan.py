"""What Snakemake plans, without running it."""

import pytest

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
    assert "cohort_simulate" not in plan


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
