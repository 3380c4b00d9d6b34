"""The parallel scan is the recurrence that defines it, in value and gradient, and stays finite on long sequences."""

import pytest
import torch
from torch import Tensor

from cxrflow.clear.selective_scan import selective_scan
from cxrflow.clear.vmamba import VMamba, merged, sequences

torch.set_num_threads(1)


def parts(batch: int, groups: int, length: int, width: int, states: int, seed: int = 0) -> list[Tensor]:
    """Inputs, steps, rates, writes and reads in float64."""
    torch.manual_seed(seed)
    shape = (batch, groups, length)
    inputs, steps = torch.randn(*shape, width), torch.rand(*shape, width)
    rates, weights = -4 * torch.rand(groups, width, states), torch.randn(2, *shape, states)
    return [part.double() for part in (inputs, steps, rates, *weights)]


def step_by_step(inputs: Tensor, steps: Tensor, rates: Tensor, writes: Tensor, reads: Tensor) -> Tensor:
    state, found = torch.zeros(*inputs.shape[:2], *rates.shape[1:], dtype=inputs.dtype), []
    for t in range(inputs.shape[2]):
        written = (steps * inputs)[:, :, t, :, None] * writes[:, :, t, None, :]
        state = torch.exp(steps[:, :, t, :, None] * rates) * state + written
        found.append((state * reads[:, :, t, None, :]).sum(dim=-1))
    return torch.stack(found, dim=2)


@pytest.mark.parametrize("length", [1, 2, 9, 23, 64])
def test_the_scan_and_its_gradient_are_those_of_the_recurrence(length: int) -> None:
    double = [part.requires_grad_() for part in parts(2, 3, length, 4, 5)]
    single = [part.detach().float().requires_grad_() for part in double]
    found, expected = selective_scan(*single), step_by_step(*double)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-4)
    direction = torch.randn_like(expected)
    (found * direction.float()).sum().backward()
    (expected * direction).sum().backward()
    for ours, true in zip(single, double, strict=True):
        assert ours.grad is not None
        assert true.grad is not None
        torch.testing.assert_close(ours.grad.double(), true.grad, atol=1e-4, rtol=1e-4)


def test_4096_tokens_with_any_decay_stay_finite() -> None:
    inputs, steps, rates, writes, reads = (part.float() for part in parts(1, 1, 4096, 2, 3))
    for scale in (1e-6, 1.0, 1e4):  # from states that never fade to states that fade within a token
        values = [inputs.clone().requires_grad_(), steps * scale, rates.clone().requires_grad_(), writes, reads]
        found = selective_scan(*values)
        found.sum().backward()
        gradients = [value.grad for value in values if value.grad is not None]
        assert len(gradients) == 2
        assert all(torch.isfinite(each).all() for each in (found, *gradients))


def test_a_state_that_does_not_fade_sums_up_all_that_was_written() -> None:
    inputs, ones = torch.rand(1, 1, 100, 2), torch.ones(1, 1, 100, 1)
    found = selective_scan(inputs, torch.ones_like(inputs), torch.zeros(1, 2, 1), ones, ones)
    torch.testing.assert_close(found, inputs.cumsum(dim=2))


def test_directions_come_back_to_their_places() -> None:
    maps = torch.rand(2, 3, 4, 5)
    lines = sequences(maps)
    assert torch.equal(lines[:, 2], lines[:, 0].flip(1))
    assert torch.equal(lines[:, 1, 1], maps[:, :, 1, 0])
    torch.testing.assert_close(merged(lines, 4, 5), 4 * maps.permute(0, 2, 3, 1))


def test_in_the_first_block_every_place_sees_every_other() -> None:
    torch.manual_seed(0)
    network = VMamba(widths=(8, 16), depths=(1, 1), states=4)
    maps = torch.randn(1, 4, 4, 8, requires_grad=True)
    network.stages[0](maps)[0, 1, 2].sum().backward()
    assert maps.grad is not None
    assert (maps.grad.abs().sum(dim=-1) > 0).all()
