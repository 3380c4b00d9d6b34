"""Every job says what made its outputs, and what was altered since is named."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from snakemake.iocontainers import InputFiles, OutputFiles, Params, Wildcards

from cxrflow import provenance
from cxrflow.errors import UserError
from cxrflow.files import sha256, write_text
from cxrflow.logs import script_run
from cxrflow.verification import main, record_of, verify

CONFIGURATION = {"neural": {"gnn": {"epochs": 3}}}


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a script, a module that it imports, and a table that a user gave."""
    monkeypatch.chdir(tmp_path)
    write_text("scripts/score.py", "import cxrflow.scores\n")
    write_text("scripts/cxrflow/scores.py", "ONE = 1\n")
    write_text("data/given.csv", "a\n1\n")
    write_text("results/c/earlier.csv", "b\n2\n")
    return tmp_path


def job(output: str = "results/c/scores.csv", seed: str = "4", more: tuple[str, ...] = (), **changed):
    """Return what Snakemake gives a script."""
    Path("results/logs/c").mkdir(parents=True, exist_ok=True)
    inputs = InputFiles(toclone=["scripts/cxrflow/scores.py", "data/given.csv", "results/c/earlier.csv"])
    inputs._set_name("code", 0, end=1)
    facts = {
        "rule": "score",
        "log": [f"results/logs/c/score_{seed}.log"],
        "input": inputs,
        "output": OutputFiles(toclone=[output, *more]),
        "params": Params(fromdict={"settings": {"split_seed": 7, "epochs": 3}}),
        "wildcards": Wildcards(fromdict={"cohort": "c", "seed": seed}),
        "threads": 2,
        "config": CONFIGURATION,
        "scriptdir": str(Path("scripts").absolute()),
    }
    return SimpleNamespace(**{**facts, **changed})


def run(about: SimpleNamespace, content: str = "x\n1\n") -> dict:
    with script_run(about):
        for output in about.output:
            write_text(output, content)
    return json.loads(provenance.record_path(about).read_text())


def test_a_record_tells_what_made_a_table():
    found = run(job())
    assert found["outputs"] == {"c/scores.csv": sha256("results/c/scores.csv")}
    assert (found["rule"], found["threads"]) == ("score", 2)
    assert found["seeds"] == {"settings.split_seed": 7, "seed": 4}
    assert found["packages"]["numpy"] == np.__version__
    assert found["packages"]["python"].startswith("3.11")
    assert found["device"]
    kept = Path(f"results/provenance/configurations/{found['configuration']}.json")
    assert json.loads(kept.read_text()) == CONFIGURATION


def test_given_files_are_recorded_by_content_and_results_by_name():
    inputs = run(job())["inputs"]
    assert inputs == {"data/given.csv": sha256("data/given.csv"), "results/c/earlier.csv": None}


@pytest.mark.parametrize("changed", ["scripts/score.py", "scripts/cxrflow/scores.py"])
def test_the_digest_of_the_code_follows_script_and_modules(changed: str):
    first = run(job())
    again = run(job())
    write_text(changed, "TWO = 2\n")
    edited = run(job())
    assert first["code"] == again["code"] != edited["code"]
    assert first["configuration"] == edited["configuration"]


def test_the_digests_of_configuration_and_parameters_follow_them():
    first, other = run(job()), run(job(config={"neural": {}}, params=Params(fromdict={"settings": {}})))
    assert first["configuration"] != other["configuration"]
    assert first["parameters"] != other["parameters"]


def test_a_listed_checksum_is_not_computed_again(monkeypatch: pytest.MonkeyPatch):
    hashed = []
    monkeypatch.setattr(provenance, "sha256", lambda file: hashed.append(Path(file).name) or sha256(file))
    about = job("results/c/images.npy", more=("results/c/images.sha256",))
    with script_run(about):
        write_text("results/c/images.npy", "pixels")
        write_text("results/c/images.sha256", f"{sha256('results/c/images.npy')}  images.npy\n")
    outputs = json.loads(provenance.record_path(about).read_text())["outputs"]
    assert outputs["c/images.npy"] == sha256("results/c/images.npy")
    assert "images.npy" not in hashed


def test_a_failed_job_leaves_no_record_not_even_an_earlier_one(capsys):
    run(job())
    with pytest.raises(SystemExit), script_run(job()):
        raise UserError("No.", "yes.")
    assert not provenance.record_path(job()).exists()


def test_what_a_killed_job_left_half_written_is_removed_and_nothing_else():
    for name in (".scores.csv.ab12_xyz.csv", ".scores.csv", ".other.csv.ab12_xyz.csv", "scores.csv.ab12_xyz.csv"):
        write_text(f"results/c/{name}", "half")
    run(job())
    left = {file.name for file in Path("results/c").iterdir()}
    assert left == {"scores.csv", "earlier.csv", ".scores.csv", ".other.csv.ab12_xyz.csv", "scores.csv.ab12_xyz.csv"}


def test_of_several_processes_only_the_first_records(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RANK", "1")
    with script_run(job()):
        write_text("results/c/scores.csv", "x\n")
    assert not provenance.record_path(job()).exists()


def test_every_alteration_is_named():
    names = [f"results/c/{name}.csv" for name in ("same", "altered", "gone")]
    run(job(names[0], more=tuple(names[1:])))
    assert verify(Path("results")).whole
    assert verify(Path("results")).checked == 3
    Path(names[1]).write_text("x\n2\n")  # as long as before
    Path(names[2]).unlink()
    found = verify(Path("results"))
    assert found.altered == [Path(names[1])]
    assert found.missing == [Path(names[2])]
    assert found.unrecorded == [Path("results/c/earlier.csv")]
    assert main(["results"]) == 1


def test_files_of_a_list_are_verified_as_well():
    with script_run(job("results/c/raw/SHA256SUMS.txt")):
        write_text("results/c/raw/files/image.jpg", "pixels")
        write_text("results/c/raw/SHA256SUMS.txt", f"{sha256('results/c/raw/files/image.jpg')}  files/image.jpg\n")
    assert verify(Path("results")).checked == 2
    Path("results/c/raw/files/image.jpg").write_text("others")
    assert verify(Path("results")).altered == [Path("results/c/raw/files/image.jpg")]


def test_a_list_names_every_file_as_sha256sum_does():
    files = [Path("results/c/features/a.h5"), Path("results/c/b.h5")]
    for file in files:
        write_text(file, file.name)
    provenance.write_list(Path("results/c/features.sha256"), files)
    assert provenance.read_list(Path("results/c/features.sha256")) == {file: sha256(file) for file in files}
    subprocess.run(["sha256sum", "--check", "--quiet", "features.sha256"], cwd="results/c", check=True)


def test_a_broken_record_is_named():
    run(job())
    provenance.record_path(job()).write_text('{"outputs": {')
    assert verify(Path("results")).altered == [provenance.record_path(job())]


def test_what_a_kill_left_of_a_record_is_none():
    run(job())
    record = provenance.record_path(job())
    record.with_name(f".{record.name}.x1.json").write_text('{"outputs": {')
    assert verify(Path("results")).altered == []


def test_logs_states_and_hidden_files_are_no_results():
    run(job())
    for name in ("logs/c/x.log", "benchmarks/c/x.tsv", "c/resume/state.pt", "c/.hidden.csv", "report.html"):
        write_text(f"results/{name}", "x")
    assert verify(Path("results")).unrecorded == [Path("results/c/earlier.csv")]


def test_a_file_leads_to_its_record(capsys):
    made = run(job())
    assert record_of(Path("results"), Path("results/c/scores.csv")) == made
    assert main(["results", "results/c/scores.csv"]) == 0
    assert json.loads(capsys.readouterr().out) == [made]
    assert main(["results", "results/c/earlier.csv"]) == 2
    assert "Hint:" in capsys.readouterr().err


def test_without_records_nothing_is_verified(capsys):
    assert main(["results"]) == 2
    assert "Hint: Run the workflow first." in capsys.readouterr().err


def test_every_rule_runs_a_script_that_records_what_it_made(root: Path):
    """A record is named like its log file, and the code is told by the input `code`: every rule must have both."""
    blocks = [block for file in (root / "rules").glob("*.smk") for block in file.read_text().split("\nrule ")[1:]]
    assert len(blocks) > 40
    for block in blocks:
        name = block.split(":", 1)[0]
        assert f'"../scripts/{name}.py"' in block, name
        assert f'code=library("{name}")' in block, name
        assert '"results/logs/' in block, name
        assert "with script_run(snakemake)" in (root / f"scripts/{name}.py").read_text(), name
