"""Runs the workflow, kills it at a chosen point, and compares what is left with an undisturbed run."""

import filecmp
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

SABOTEUR = Path(__file__).parent / "saboteur"
CONFIGURATION = ("tests/config/tiny.yaml", "tests/config/faults.yaml")
SAYS_OF_ITSELF = ("logs", "benchmarks", "provenance")
WORKING = {"resume", "waiting"}


@dataclass(frozen=True)
class Victim:
    """A job to kill: its rule, its log below results/logs/ (without suffix), its training state, what is asked for."""

    rule: str
    log: str
    target: str
    states: str | None = None


NIH, MIMIC = "results/tiny-nih", "results/tiny"
SHORT = (
    Victim("prunecxr_train", "tiny-nih/prunecxr_train_0", f"{NIH}/prunecxr/training/seed_0.safetensors",
           f"{NIH}/prunecxr/training/resume"),
    Victim("prunecxr_sweep", "tiny-nih/prunecxr_sweep_0_0", f"{NIH}/prunecxr/predictions/seed_0_chunk_0.parquet"),
    Victim("cohort_image_store", "tiny-nih/cohort_image_store_64", f"{NIH}/cohort/images_64.npy"),
)  # fmt: skip
LONG = (
    Victim("neural_train_vlm", "tiny/neural_train_vlm", f"{MIMIC}/neural/metrics.csv", f"{MIMIC}/neural/vlm/resume"),
    Victim("prunecxr_train", "tiny-nih/prunecxr_train_0", f"{NIH}/prunecxr/metrics.csv",
           f"{NIH}/prunecxr/training/resume"),
    Victim("neural_train_gnn", "tiny/neural_train_gnn_0", f"{MIMIC}/neural/metrics.csv",
           f"{MIMIC}/neural/predictions/resume/seed_0"),
    Victim("prunecxr_sweep", "tiny-nih/prunecxr_sweep_0_0", f"{NIH}/prunecxr/metrics.csv"),
    Victim("cohort_image_store", "tiny-nih/cohort_image_store_64", f"{NIH}/cohort/images_64.npy"),
)  # fmt: skip


@dataclass(frozen=True)
class Kill:
    """Where a job dies (`share` of its operations or seconds), whether all else dies too, and what is lost with it."""

    victim: Victim
    unit: Literal["operations", "seconds"]
    share: float
    whole_group: bool
    forget: bool

    def __str__(self) -> str:
        about = [self.victim.rule, f"{self.share:.2f}-of-{self.unit}"]
        return "-".join(about + ["controller"] * self.whole_group + ["no-records"] * self.forget)


KINDS = ((False, False), (True, True), (True, False))
"""Of a kill: the job alone, the whole group and Snakemake's records, the whole group."""


def plan(number: int, seed: int) -> list[Kill]:
    """Return the kills of one run of the suite: every job in turn, in every kind in turn, at points from the seed."""
    victims, draw = (SHORT if number <= 4 else LONG), random.Random(seed)
    return [
        Kill(victims[place % len(victims)], draw.choice(("operations", "seconds")), draw.random(), *KINDS[place % 3])
        for place in range(number)
    ]


@dataclass(frozen=True)
class Folder:
    """A copy of the repository with results in it."""

    root: Path

    @property
    def results(self) -> Path:
        return self.root / "results"

    def run(self, *arguments: str, limits: Callable[[], None] | None = None, **more: str) -> tuple[int, str]:
        """Run Snakemake in a process group of its own; return its status and what it said."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, "--configfile", *CONFIGURATION]
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(SABOTEUR), **more}
        done = subprocess.run(
            command,
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            start_new_session=True,
            preexec_fn=limits,
        )
        return done.returncode, done.stdout

    def finish(self, target: str) -> None:
        """Run to the target; anything but success is an error."""
        status, said = self.run(target)
        assert status == 0, said[-6000:]

    def log(self, victim: Victim) -> Path:
        return self.results / "logs" / f"{victim.log}.log"

    def undo(self, victim: Victim) -> list[Path]:
        """Remove what the job made and what was made from it, so that it must run again; return its own outputs."""
        jobs = {file: json.loads(file.read_text()) for file in (self.results / "provenance/jobs").rglob("*.json")}
        waiting = [self.results / "provenance/jobs" / f"{victim.log}.json"]
        outputs = [self.results / name for name in jobs[waiting[0]]["outputs"]]
        while waiting:
            record = waiting.pop()
            gone = {f"results/{name}" for name in jobs.pop(record)["outputs"]}
            for name in gone:
                (self.root / name).unlink()
            record.unlink()
            waiting += [file for file, job in jobs.items() if gone & set(job["inputs"]) and file not in waiting]
        self.log(victim).unlink()
        return outputs

    def made(self) -> dict[str, Path]:
        """Return every result by its name; what a run says of itself and hidden files are none."""
        files = {str(file.relative_to(self.results)): file for file in self.results.rglob("*") if file.is_file()}
        return {name: file for name, file in files.items() if _is_result(Path(name))}

    def epochs_done(self, victim: Victim) -> list[int]:
        """Return how many epochs each saved state of a training has behind it."""
        folder = self.root / victim.states if victim.states else None
        files = sorted(folder.glob("[!.]*.pt")) if folder else []
        return [len(torch.load(file, weights_only=True)["history"]) for file in files]


def _is_result(name: Path) -> bool:
    hidden = any(part.startswith(".") for part in name.parts)
    aside = name.parts[0] in SAYS_OF_ITSELF or WORKING.intersection(name.parts) or name.name.endswith("_speed.json")
    return not hidden and not aside


def copied(folder: Folder, place: Path) -> Folder:
    """Copy a folder, with the times of its files."""
    shutil.copytree(folder.root, place, symlinks=True)
    return Folder(place)


def different(found: Folder, expected: Folder) -> Iterator[str]:
    """Yield the results of `found` whose bytes are not those of the undisturbed run."""
    whole = expected.made()
    for name, file in found.made().items():
        if name not in whole or not filecmp.cmp(file, whole[name], shallow=False):
            yield name


def orders(kill: Kill, census: Path, mark: Path) -> dict[str, Any]:
    """Return what the saboteur is told."""
    took = json.loads((census / f"{kill.victim.rule}.json").read_text())
    # Processor time varies a little: the last fifth is left to operations, which do not.
    points = {
        "operations": 1 + int(kill.share * (took["operations"] - 1)),
        "seconds": 0.8 * kill.share * took["seconds"],
    }
    chosen = {"rule": kill.victim.rule, "unit": kill.unit, "point": points[kill.unit]}
    return {**chosen, "whole_group": kill.whole_group, "mark": str(mark)}


def resumed(log: str) -> list[int]:
    """Return the epochs after which a log says that it went on."""
    return [int(number) for number in re.findall(r"Going on after epoch (\d+) of an earlier run", log)]
