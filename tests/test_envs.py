"""The conda environments agree with the lock file and hold what their rules import."""

import ast
import re
import sys
from functools import cache

import pytest
import yaml

from cxrflow.imports import local_imports

# Names that differ: import name -> lock name, conda-forge name -> lock name.
IMPORTED_AS = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "torch_geometric": "torch-geometric",
    "rouge_score": "rouge-score",
    "snakemake": "snakemake",
}
CONDA_NAMES = {"pytorch": "torch", "pytorch_geometric": "torch-geometric", "python-igraph": "igraph"}
# What a package brings with it needs no line of its own.
BROUGHT_BY = {"tokenizers": "transformers", "thinc": "spacy"}


@cache
def lock(root):
    lines = [line for file in root.glob("requirements*.lock") for line in file.read_text().splitlines()]
    pins = (re.match(r"([\w.-]+)==([^\s;]+)", line) for line in lines)
    return {pin[1].lower().replace("_", "-"): pin[2] for pin in pins if pin}


def pins(root, env):
    listed = yaml.safe_load((root / "envs" / f"{env}.yaml").read_text())["dependencies"]
    flat = [item for line in listed for item in (line["pip"] if isinstance(line, dict) else [line])]
    named = (re.match(r"([\w.-]+?)=+([\d.]+)", item) for item in flat if "=" in item)
    return {CONDA_NAMES.get(pin[1], pin[1]): pin[2] for pin in named if pin}


def rules(root):
    """Yield (rule, environment) for every rule with a script."""
    for file in sorted((root / "rules").glob("*.smk")):
        for block in re.split(r"(?m)^(?=rule )", file.read_text())[1:]:
            env = re.search(r"envs/(\w+)\.yaml", block)
            assert env, f"a rule of {file.name} has no conda environment"
            yield block.split(":", 1)[0].split()[1], env[1]


@pytest.mark.parametrize("env", ["data", "simulation", "nlp", "vision", "graph", "analysis"])
def test_every_pin_is_the_locked_one(root, env):
    different = {
        name: (pin, lock(root).get(name)) for name, pin in pins(root, env).items() if name not in ("python", "pip")
    }
    assert {name: both for name, both in different.items() if both[0] != both[1]} == {}


def imports(source):
    """Yield the third-party packages that a file imports (type-checking blocks aside)."""
    tree = ast.parse(source.read_text())
    ignored = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in ignored:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_each_environment_holds_what_the_scripts_of_its_rules_import(root):
    missing = []
    for rule, env in rules(root):
        script = root / "scripts" / f"{rule}.py"
        names = {name for file in (script, *local_imports(script, root / "scripts")) for name in imports(file)}
        third_party = names - set(sys.stdlib_module_names) - {"cxrflow"}
        packages = {IMPORTED_AS.get(name, name) for name in third_party}
        held = set(pins(root, env))
        missing += [(rule, env, name) for name in packages if name not in held and BROUGHT_BY.get(name) not in held]
    assert missing == []


def test_every_environment_is_used(root):
    assert {env for _, env in rules(root)} == {file.stem for file in (root / "envs").glob("*.yaml")}
