"""The loop: killed and resumed runs end bit for bit like undisturbed ones, remainders are stepped, the best is kept."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from cxrflow import training
from cxrflow.training import (
    Plan,
    Progress,
    Resume,
    arithmetic,
    fingerprint,
    fit,
    prepare_torch,
    rate_factor,
    share,
    windows,
)


class Noise:
    """Batches of a linear problem, shuffled by epoch."""

    def __init__(self, batches: int = 5) -> None:
        self.inputs = torch.randn(batches * 4, 3, generator=torch.Generator().manual_seed(1))
        self.count = batches

    def __len__(self) -> int:
        return self.count

    def epoch(self, number: int) -> Iterator[dict[str, Tensor]]:
        order = torch.from_numpy(np.random.default_rng([7, number]).permutation(len(self.inputs)))
        for rows in order.view(self.count, 4):
            yield {"x": self.inputs[rows], "y": self.inputs[rows].sum(dim=1, keepdim=True)}


def squared_error(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return (model(batch["x"]) - batch["y"]).square().mean()


def network() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    return model, torch.optim.AdamW(model.parameters(), lr=0.01)


def measured(data: Noise) -> Callable[[nn.Module], dict[str, float]]:
    def validate(model: nn.Module) -> dict[str, float]:
        return {"validation_loss": float((model(data.inputs) - data.inputs.sum(dim=1, keepdim=True)).square().mean())}

    return validate


def run(plan: Plan, resume: Resume | None = None, killed_in: int | None = None) -> tuple[nn.Module, Progress]:
    data, (model, optimiser) = Noise(), network()
    validate, calls = measured(data), iter(range(100))

    def dying(model: nn.Module) -> dict[str, float]:
        if next(calls) == killed_in:
            raise KeyboardInterrupt
        return validate(model)

    return model, fit(model, optimiser, data, squared_error, dying, plan, resume)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("killed_in", [0, 1, 3])
def test_killed_and_resumed_equals_undisturbed(tmp_path: Path, precision: str, killed_in: int) -> None:
    prepare_torch(1)
    plan = Plan(epochs=5, seed=3, precision=precision, accumulation=2, schedule="cosine")  # type: ignore[arg-type]
    expected, whole = run(plan)
    resume = Resume(tmp_path / "resume" / "state.pt", "same run")
    with pytest.raises(KeyboardInterrupt):
        run(plan, resume, killed_in)
    torch.randn(17)  # whatever was drawn meanwhile must not matter
    found, resumed = run(plan, resume)
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    for name, value in expected.state_dict().items():
        assert torch.equal(value, found.state_dict()[name]), name


def test_another_runs_state_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    run(Plan(epochs=2), Resume(file, "old settings"))
    _, progress = run(Plan(epochs=3), Resume(file, "new settings"))
    assert progress.history == run(Plan(epochs=3))[1].history


def test_a_discarded_state_is_gone(tmp_path: Path) -> None:
    resume = Resume(tmp_path / "state.pt", "x")
    run(Plan(epochs=1), resume)
    assert resume.file.exists()
    resume.discard()
    resume.discard()
    assert list(tmp_path.iterdir()) == []


def test_the_state_holds_nothing_that_runs_when_read(tmp_path: Path) -> None:
    resume = Resume(tmp_path / "state.pt", "x")
    run(Plan(epochs=1), resume)
    assert set(torch.load(resume.file, weights_only=True)) >= {"fingerprint", "model", "optimiser", "history"}


def test_the_remainder_of_an_epoch_is_stepped() -> None:
    # Three batches with gradients 1, 3 and 8 of a single weight, two at a time: steps of mean 2 and then of 8.
    class Three:
        def __len__(self) -> int:
            return 3

        def epoch(self, number: int) -> Iterator[dict[str, Tensor]]:
            yield from ({"g": torch.tensor(value)} for value in (1.0, 3.0, 8.0))

    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    plan = Plan(epochs=1, accumulation=2)
    fit(model, optimiser, Three(), lambda m, b: m(b["g"].view(1, 1)).sum(), lambda m: {"validation_loss": 0.0}, plan)
    assert model.weight.item() == pytest.approx(-0.1 * (2 + 8))


@pytest.mark.parametrize(("highest", "best"), [(False, 1), (True, 2)])
def test_the_best_epochs_weights_are_left(highest: bool, best: int) -> None:
    values, seen = iter([0.5, 0.2, 0.9, 0.2]), []
    data, (model, optimiser) = Noise(), network()

    def validate(network_: nn.Module) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in network_.state_dict().items()})
        return {"score": next(values)}

    progress = fit(model, optimiser, data, squared_error, validate, Plan(epochs=4, select="score", highest=highest))
    assert progress.best_epoch == best
    assert all(torch.equal(value, seen[best][name]) for name, value in model.state_dict().items())


def test_patience_ends_a_run_that_gets_no_better() -> None:
    values = iter([3.0, 2.0, 2.5, 2.5, 2.5, 1.0])
    data, (model, optimiser) = Noise(), network()
    plan = Plan(epochs=6, patience=1)
    progress = fit(model, optimiser, data, squared_error, lambda _: {"validation_loss": next(values)}, plan)
    assert [row["validation_loss"] for row in progress.history] == [3.0, 2.0, 2.5, 2.5]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(1, 4))
def test_what_processes_do_of_a_step_averages_to_the_whole_step(sizes: list[int], processes: int) -> None:
    numbers = iter(range(1, 100))
    window = [{"x": torch.tensor([float(next(numbers)) for _ in range(size)])} for size in sizes]
    parts = [share(window, index, processes) for index in range(processes)]
    assert all(parts)  # whoever has nothing to do would let the others wait for ever
    done = sum(float(batch["x"].mean()) * weight for part in parts for batch, weight in part) / processes
    assert done == pytest.approx(sum(float(batch["x"].mean()) for batch in window))


@given(st.integers(0, 20), st.integers(1, 6))
def test_windows_lose_nothing(count: int, size: int) -> None:
    parts = list(windows([{"x": torch.tensor(number)} for number in range(count)], size))
    assert [int(batch["x"]) for part in parts for batch in part] == list(range(count))
    assert all(len(part) == size for part in parts[:-1])


def test_cosine_rises_and_falls_to_zero() -> None:
    plan = Plan(epochs=1, schedule="cosine", warmup=0.1)
    factors = [rate_factor(progress, plan) for progress in (0.0, 0.1, 0.5, 1.0)]
    assert factors[0] < 0.05
    assert factors[1] > 0.95
    assert factors[3] == pytest.approx(0)
    assert rate_factor(0.7, Plan(epochs=1)) == 1


def test_fingerprint_follows_settings_and_content(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("1")
    first = fingerprint({"a": 1}, [file])
    assert first == fingerprint({"a": 1}, [file])
    assert first != fingerprint({"a": 2}, [file])
    file.write_text("2")
    assert first != fingerprint({"a": 1}, [file])


@pytest.mark.parametrize("processes", [2, 3])
def test_whole_batches_are_dealt_out_and_never_cut(processes):
    """Where examples of a batch are each other's negatives, half a batch is another loss."""
    window = [{"x": torch.arange(4.0) + 4 * number} for number in range(2)]
    parts = [share(window, index, processes, whole=True) for index in range(processes)]
    assert all(len(batch["x"]) == 4 for part in parts for batch, _ in part)
    total = sum(weight * batch["x"].mean() for part in parts for batch, weight in part) / processes
    assert float(total) == pytest.approx(float(sum(batch["x"].mean() for batch in window)))
    assert all(part for part in parts), "every process takes part in every step"


def test_a_processor_computes_in_single_precision_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, expected in {"cpu": "fp32", "cuda": "bf16"}.items():
        monkeypatch.setattr(training, "this_device", lambda name=name: torch.device(name))
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
        assert arithmetic("auto") == expected
        assert (arithmetic("bf16"), arithmetic("fp32")) == ("bf16", "fp32")


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16", "avx512_f"])
def test_a_frozen_network_uses_what_the_processor_has(monkeypatch: pytest.MonkeyPatch, instructions: str) -> None:
    monkeypatch.setattr(training, "this_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {instructions: True})
    assert arithmetic("auto") == "fp32"
    assert arithmetic("auto", frozen=True) == ("bf16" if instructions.endswith("bf16") else "fp32")
    assert arithmetic("fp32", frozen=True) == "fp32"
