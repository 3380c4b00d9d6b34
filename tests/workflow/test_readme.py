"""What the README says of the workflow is so."""

import re

import pytest
import yaml
from tests.workflow.rule_graph import picture

from cxrflow.config import Config, parse_config

pytestmark = pytest.mark.workflow


def test_the_rule_graph_of_the_readme_is_the_workflows(fresh, root):
    expected = picture(fresh.snakemake("--rulegraph", "mermaid-js").stdout)
    assert expected in (root / "README.md").read_text(), f"put this into the README:\n{expected}"


def test_every_file_that_the_readme_links_is_there(root):
    links = re.findall(r"\]\(([^)#]+)\)", (root / "README.md").read_text())
    assert links
    assert [link for link in links if not (root / link).exists()] == []


def test_every_make_target_of_the_readme_exists(root):
    named = set(re.findall(r"(?m)(?:`|^    )make ([a-z-]+)", (root / "README.md").read_text()))
    targets = set(re.findall(r"(?m)^([a-z-]+):", (root / "Makefile").read_text()))
    assert named <= targets


def test_the_configuration_instructions_name_every_key_and_their_example_is_valid(root):
    text = (root / "config/README.md").read_text()
    assert set(re.findall(r"(?m)^\| `(\w+)` \|", text)) == set(Config.model_fields)
    example = yaml.safe_load(re.search(r"(?s)```yaml\n(.*?)```", text)[1])
    assert parse_config(example).acknowledge_dua == ["mimic-cxr"]
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert [link for link in links if not (root / "config" / link).exists()] == []


def test_the_workflow_catalog_finds_what_its_standardized_usage_asks_for(root):
    usage = yaml.safe_load((root / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment"}
    deployed = usage["software-stack-deployment"]
    assert deployed == {"conda": True, "apptainer": False, "apptainer+conda": False, "report": True}
    assert (root / "workflow/Snakefile").is_file()
    assert {"snakemake", "workflow"} <= set(re.findall(r"\w+", (root / "README.md").read_text().lower()))
