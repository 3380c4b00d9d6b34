"""The one loop over epochs: devices, precision, accumulation, several processes, and going on after a kill.

It stands on `accelerate`. A run that was killed and went on ends bit for bit like one that was left alone: every epoch
starts from random generators seeded with (seed, epoch), and the order of its batches is a function of the epoch.

Several processes (cxrflow/processes.py) make the steps that one would make: they divide the batches of each step.
"""

import hashlib
import json
import logging
import math
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

# cuBLAS reads it when it starts; without it the deterministic mode refuses to multiply matrices on a GPU.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from cxrflow.files import atomic_path, forget_leftovers, sha256
from cxrflow.settings import Precision

logger = logging.getLogger(__name__)

Batch = Mapping[str, Tensor]
Step = Callable[[nn.Module, Batch], Tensor]
Validate = Callable[[nn.Module], dict[str, float]]


class Batches(Protocol):
    """Training data: how many batches an epoch has, and the batches of epoch 0, 1, ... (the same on every call)."""

    def __len__(self) -> int: ...

    def epoch(self, number: int) -> Iterable[Batch]:
        """Yield the batches of one epoch."""
        ...


@dataclass(frozen=True)
class Plan:
    """How to train; `select` names the value of `validate` that picks the best epoch."""

    epochs: int
    seed: int = 0
    precision: Precision = "fp32"
    accumulation: int = 1
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = 0.05
    select: str = "validation_loss"
    highest: bool = False
    patience: int | None = None
    verbose: bool = True
    whole_batches: bool = False
    """Deal out whole batches to several processes, never parts: examples of a batch are each other's negatives."""


@dataclass(frozen=True)
class Resume:
    """Where the state after each epoch is kept, and for which run; another run's state is not taken."""

    file: Path
    fingerprint: str

    def discard(self) -> None:
        """Forget the state, once the outputs made from it are in place, and what kills left of it."""
        self.file.unlink(missing_ok=True)
        forget_leftovers(self.file)


@dataclass
class Progress:
    """What a run has reached: finished epochs, one row of history for each, and the best weights."""

    history: list[dict[str, float]]
    best: dict[str, Tensor]
    best_epoch: int = -1

    @property
    def finished(self) -> int:
        """Epochs done."""
        return len(self.history)


def prepare_torch(threads: int, seed: int = 0) -> None:
    """Fix what makes results depend on the machine's mood: thread count, kernels, seeds."""
    torch.set_num_threads(max(1, threads))
    # As `use_deterministic_algorithms`, but for networks that are compiled: none is, and that compiler imports for 3 s.
    torch.set_deterministic_debug_mode("error")
    # The deterministic mode also writes NaN into all memory that is about to be overwritten: a tenth of a step's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    seed_everything(seed)


def this_device() -> torch.device:
    """Return the device of this process: what accelerate trains on."""
    return processes().device


def processes() -> PartialState:
    """Return what accelerate knows of the processes that train together; that they use CPUs it has to be told."""
    return PartialState(cpu=not torch.cuda.is_available() and "LOCAL_RANK" in os.environ)


def is_main_process() -> bool:
    """Return whether this process writes what several trained together."""
    return bool(processes().is_main_process)


def process_count() -> int:
    """Return how many processes train together."""
    return int(processes().num_processes)


def arithmetic(precision: Precision, frozen: bool = False) -> Literal["fp32", "bf16"]:
    """Return what a wanted precision is on this machine: `auto` is bf16 on a GPU that computes in it, else fp32.

    Processors differ: some have instructions for bf16 (with them the demonstration took a twelfth less time), others
    emulate it at a fraction of the speed of fp32. Trained weights would be others on every other kind of machine. A
    `frozen` network rounds once, and errors do not grow: it is bf16 on processors with such instructions too.
    """
    if precision != "auto":
        return precision
    if this_device().type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = frozen and has_bf16_instructions()
    return "bf16" if able else "fp32"


def has_bf16_instructions() -> bool:
    """Return whether this processor multiplies matrices in bf16 without emulation (AVX-512 BF16 or AMX)."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def machine_facts(threads: int, precision: Precision) -> dict[str, Any]:
    """Return what of this machine a model's weights depend on, as plain types: threads, processes, arithmetic."""
    return {"threads": threads, "processes": process_count(), "arithmetic": arithmetic(precision)}


def seed_everything(*seed: int) -> None:
    """Seed python, numpy and torch from a list of integers."""
    number = int(np.random.SeedSequence(seed).generate_state(1)[0])
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 - libraries draw from the global generator
    torch.manual_seed(number)


def fingerprint(settings: Any, files: Iterable[Path | str]) -> str:
    """Return a digest of what a run depends on: its settings (plain types) and the content of its input files."""
    facts = {"settings": settings, "files": [sha256(file) for file in files]}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def fit(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: Batches,
    step: Step,
    validate: Validate,
    plan: Plan,
    resume: Resume | None = None,
) -> Progress:
    """Train `model` and leave it with the weights of its best epoch, on the device it was trained on.

    `step(model, batch)` returns the loss of a batch as a mean over its examples; the gradients of `accumulation`
    batches are averaged, and what remains at the end of an epoch makes a step as well. `validate(model)` returns
    numbers by name, among them `plan.select`. In each of several processes the same history and weights are left.
    """
    accelerator = _accelerator(arithmetic(plan.precision))
    rates = [group["lr"] for group in optimiser.param_groups]
    # The optimiser stays as it is: accelerate's wrapper of it scales gradients of fp16, which nothing here computes in.
    wrapped = accelerator.prepare(model)
    progress = _load(resume, model, optimiser) or Progress([], _copy(model))
    accelerator.wait_for_everyone()  # all have read the state before one of them replaces or discards it
    while progress.finished < plan.epochs and not _out_of_patience(progress, plan):
        epoch, started = progress.finished, time.monotonic()
        seed_everything(plan.seed, epoch, *_own(accelerator))
        loss = _train_epoch(accelerator, wrapped, optimiser, batches, step, plan, epoch, rates)
        row = {"epoch": float(epoch), "train_loss": loss, **_validate(wrapped, validate)}
        _record(progress, model, broadcast_object_list([row])[0], plan)  # the last bit decides alike in all of them
        if accelerator.is_main_process:
            _save(resume, model, optimiser, progress)
        if plan.verbose:
            logger.info("%s (%.1f s)", _line(progress.history[-1], plan.epochs), time.monotonic() - started)
    model.load_state_dict(progress.best)
    return progress


def _accelerator(precision: str) -> Accelerator:
    processes()
    mixed = "bf16" if precision == "bf16" else "no"
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != mixed:
        AcceleratorState._reset_state()  # a second model of one process may want another precision
    # Parts of a model may rest in some epochs; several processes must not wait for their gradients.
    resting = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(mixed_precision=mixed, kwargs_handlers=[resting])


def _train_epoch(
    accelerator: Accelerator,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: Batches,
    step: Step,
    plan: Plan,
    epoch: int,
    rates: list[float],
) -> float:
    """Return the mean loss over the batches of one epoch."""
    model.train()
    losses: list[Tensor] = []
    seen = 0
    for window in windows(batches.epoch(epoch), plan.accumulation):
        _set_rates(optimiser, rates, rate_factor((epoch + seen / max(1, len(batches))) / plan.epochs, plan))
        optimiser.zero_grad(set_to_none=True)
        parts = share(window, accelerator.process_index, accelerator.num_processes, plan.whole_batches)
        for position, (batch, weight) in enumerate(parts):
            with _synchronise(accelerator, model, position == len(parts) - 1):
                loss = step(model, {name: value.to(accelerator.device) for name, value in batch.items()})
                accelerator.backward(loss * weight / len(window))
            losses.append(loss.detach() * weight)
        optimiser.step()
        seen += len(window)
    return float(accelerator.reduce(torch.stack(losses).sum(), "mean")) / seen


def _own(accelerator: Accelerator) -> list[int]:
    """Return what makes the random numbers of a further process its own; those of the first are as if it were alone."""
    return [accelerator.process_index] if accelerator.process_index else []


def _synchronise(accelerator: Accelerator, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
    return nullcontext() if last else accelerator.no_sync(model)


def share(window: list[Batch], index: int, processes: int, whole: bool = False) -> list[tuple[Batch, float]]:
    """Return what one of several processes computes of the batches of a step, each with its weight.

    Gradients are averaged over the processes, so weights make that average the mean over the batches of the window.
    Whole batches are dealt out, in turn; where there are fewer than processes, everyone takes a part of each, or, with
    `whole`, who has none computes the first one for nothing.
    """
    if len(window) >= processes or whole:
        return [(batch, float(processes)) for batch in window[index::processes]] or [(window[0], 0.0)]
    return [_part(batch, index, processes) for batch in window]


def _part(batch: Batch, index: int, processes: int) -> tuple[Batch, float]:
    """Return some rows of a batch and `processes` times their share; one row of weight 0 where none is left."""
    rows = len(next(iter(batch.values())))
    mine = np.array_split(np.arange(rows), processes)[index]
    kept = slice(int(mine[0]), int(mine[-1]) + 1) if len(mine) else slice(0, 1)
    return {name: value[kept] for name, value in batch.items()}, processes * len(mine) / rows


def windows(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Yield lists of `size` batches; the last may be shorter."""
    source = iter(batches)
    while window := list(islice(source, size)):
        yield window


def rate_factor(progress: float, plan: Plan) -> float:
    """Return the share of the learning rate at `progress` (0 to 1) through the run."""
    if plan.schedule == "constant":
        return 1.0
    warm = min(1.0, (progress + 1e-3) / plan.warmup) if plan.warmup else 1.0
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _set_rates(optimiser: torch.optim.Optimizer, rates: list[float], factor: float) -> None:
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate * factor


def _validate(model: nn.Module, validate: Validate) -> dict[str, float]:
    model.eval()
    with torch.no_grad():
        return validate(model)


def _record(progress: Progress, model: nn.Module, row: dict[str, float], plan: Plan) -> None:
    """Add a row of history; a better epoch's weights are copied (the earlier of two equal ones stays)."""
    progress.history.append(row)
    value, best = row[plan.select], progress.best_epoch
    sign = -1 if plan.highest else 1
    if best < 0 or sign * value < sign * progress.history[best][plan.select]:
        progress.best, progress.best_epoch = _copy(model), len(progress.history) - 1


def _out_of_patience(progress: Progress, plan: Plan) -> bool:
    return plan.patience is not None and progress.finished - 1 - progress.best_epoch > plan.patience


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}


def _save(resume: Resume | None, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    if resume is None:
        return
    state = {
        "fingerprint": resume.fingerprint,
        "model": _copy(model),
        "optimiser": optimiser.state_dict(),
        "history": progress.history,
        "best": progress.best,
        "best_epoch": progress.best_epoch,
    }
    with atomic_path(resume.file) as temporary, temporary.open("wb") as stream:
        torch.save(state, stream)  # given a path, it would not say that the disk is full


def _load(resume: Resume | None, model: nn.Module, optimiser: torch.optim.Optimizer) -> Progress | None:
    """Return the progress of the same run if it was left unfinished; tensors and plain types only are read."""
    if resume is None or not resume.file.exists():
        return None
    state = torch.load(resume.file, map_location="cpu", weights_only=True)
    if state["fingerprint"] != resume.fingerprint:
        logger.info("The saved state belongs to other settings, data or code: training starts anew.")
        return None
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    logger.info("Going on after epoch %d of an earlier run.", len(state["history"]))
    return Progress(state["history"], state["best"], state["best_epoch"])


def _line(row: dict[str, float], epochs: int) -> str:
    values = ", ".join(f"{name} {value:.4f}" for name, value in row.items() if name != "epoch")
    return f"epoch {int(row['epoch']) + 1}/{epochs}: {values}"
