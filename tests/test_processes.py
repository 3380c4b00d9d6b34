"""Several processes train as one does: the same steps, one writer, and they go on after a kill."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cxrflow.errors import UserError
from cxrflow.processes import launch_command, run_on_gpus

# A training script as Snakemake would run it: it starts itself anew where the rule asks for several GPUs. It makes
# several runs, for each process costs the import of PyTorch.
SCRIPT = """
import json, os
from pathlib import Path
from types import SimpleNamespace
from cxrflow.processes import run_on_gpus

wanted = json.loads(os.environ["WANTED"])
run_on_gpus(SimpleNamespace(resources={"gpu": wanted["gpu"]}))

import numpy as np
import torch
from torch import nn
from cxrflow.training import Plan, Resume, fit, is_main_process, prepare_torch, process_count


class Batches:
    x = torch.randn(22, 3, generator=torch.Generator().manual_seed(1))

    def __len__(self):
        return 6

    def epoch(self, number):
        order = torch.from_numpy(np.random.default_rng([7, number]).permutation(len(self.x)))
        for rows in order.split(4):
            yield {"x": self.x[rows], "y": self.x[rows].sum(dim=1, keepdim=True)}


def step(model, batch):
    return (model(batch["x"]) - batch["y"]).square().mean()


def train(folder, accumulation, dropout=0.0, killed_in=None):
    prepare_torch(1)
    folder.mkdir(exist_ok=True)
    epochs, x = iter(range(100)), Batches.x

    def validate(model):
        if next(epochs) == killed_in:
            os.kill(os.getpid(), 9)
        return {"validation_loss": float((model(x) - x.sum(dim=1, keepdim=True)).square().mean())}

    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.05)
    plan = Plan(epochs=4, seed=3, accumulation=accumulation, schedule="cosine")
    progress = fit(model, optimiser, Batches(), step, validate, plan, Resume(folder / "state.pt", "a run"))
    with (folder / "processes").open("a") as stream:
        stream.write(f"{is_main_process()} of {process_count()}\\n")
    if is_main_process():
        weights = torch.cat([value.flatten() for value in model.state_dict().values()]).tolist()
        told = {"history": progress.history, "weights": weights, "epochs": next(epochs)}
        (folder / "done.json").write_text(json.dumps(told))


for name, settings in wanted["runs"].items():
    train(Path(name), **settings)
"""
# 22 examples in batches of 4 leave a batch of 2, and 6 batches by 4 an incomplete step. In `whole` each process takes
# whole batches, in `halves` a half of every batch.
ALIKE = {"whole": {"accumulation": 4}, "halves": {"accumulation": 1}}
DROPOUT = {"accumulation": 2, "dropout": 0.5}


@dataclass(frozen=True)
class Trained:
    """What a run left: its history, the weights, how many epochs its last attempt made, who took part."""

    history: list[dict[str, float]]
    weights: np.ndarray
    epochs: int
    processes: list[str]


def launch(folder: Path, gpu: int, runs: dict[str, dict]) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    script = folder / "train.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "scripts"), "OMP_NUM_THREADS": "1"}
    environment["WANTED"] = json.dumps({"gpu": gpu, "runs": runs})
    command = [sys.executable, script]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def left(folder: Path) -> Trained:
    told = json.loads((folder / "done.json").read_text())
    processes = sorted((folder / "processes").read_text().splitlines())
    return Trained(told["history"], np.array(told["weights"]), told["epochs"], processes)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of what one process trained."""
    folder = tmp_path_factory.mktemp("one")
    done = launch(folder, 1, ALIKE)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of what two processes trained; both were killed in the third epoch of the last run."""
    folder = tmp_path_factory.mktemp("two")
    done = launch(folder, 2, {**ALIKE, "undisturbed": DROPOUT, "killed": {**DROPOUT, "killed_in": 2}})
    assert done.returncode != 0
    assert (folder / "undisturbed/done.json").exists(), done.stderr[-4000:]
    return folder


@pytest.mark.parametrize("run", ALIKE)
def test_two_processes_have_the_loss_curve_of_one(one: Path, two: Path, run: str) -> None:
    alone, together = left(one / run), left(two / run)
    assert alone.processes == ["True of 1"]
    assert together.processes == ["False of 2", "True of 2"]
    for name in ("train_loss", "validation_loss"):
        curves = [[row[name] for row in found.history] for found in (alone, together)]
        assert curves[1] == pytest.approx(curves[0], rel=1e-4)
    assert together.weights == pytest.approx(alone.weights, abs=1e-4)
    assert alone.history[-1]["validation_loss"] < 0.8 * alone.history[0]["validation_loss"]


def test_two_processes_go_on_after_a_kill_and_end_bit_for_bit_alike(two: Path) -> None:
    assert not (two / "killed/done.json").exists()
    done = launch(two, 2, {"killed": DROPOUT})
    assert done.returncode == 0, done.stderr[-4000:]
    undisturbed, resumed = left(two / "undisturbed"), left(two / "killed")
    assert (undisturbed.epochs, resumed.epochs) == (4, 2)
    assert resumed.history == undisturbed.history
    assert np.array_equal(resumed.weights, undisturbed.weights)


def test_one_gpu_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("a launcher was started"))
    run_on_gpus(SimpleNamespace(resources={"gpu": 1}))
    run_on_gpus(SimpleNamespace(resources={}))


def test_more_gpus_than_the_job_sees_are_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("a launcher was started"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"asks for 4 GPUs, this job sees 2(.|\n)*Hint:"):
        run_on_gpus(SimpleNamespace(resources={"gpu": 4}))


def test_the_launcher_runs_the_script_once_per_gpu_on_this_machine() -> None:
    command = launch_command(3, "train.py")
    assert command[0] == sys.executable
    assert "--nproc-per-node=3" in command
    assert command[-1] == "train.py"
