"""What the README says of the workflow is so."""

import re

import pytest
from tests.workflow.rule_graph import picture

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
