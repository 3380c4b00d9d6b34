"""The selective scan of Mamba (Gu and Dao 2023): a linear recurrence over a sequence whose decays depend on the tokens.

    h_t = exp(step_t * rate) h_{t-1} + step_t * write_t * input_t          y_t = read_t . h_t

In PyTorch the sequence is cut into about sqrt(L) pieces: all of them advance together token by token, then what each
hands on is passed from piece to piece, and they advance once more from the right state. Work is linear in L, and only
decays between 0 and 1 are multiplied, so nothing overflows however long the sequence is. On a GPU the kernel of
mamba_ssm does the same, where it is installed.
"""

import math
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def selective_scan(inputs: Tensor, steps: Tensor, rates: Tensor, writes: Tensor, reads: Tensor) -> Tensor:
    """Return y (B, G, L, D) float32 of G sequences per example, each with weights of its own.

    `inputs` and `steps` (none negative) are (B, G, L, D), `rates` (none positive) (G, D, N), `writes` and `reads`
    (B, G, L, N).
    """
    kernel = _kernel() if inputs.is_cuda else None
    parts = [part.float() for part in (inputs, steps, rates, writes, reads)]
    if kernel is not None:
        return _by_kernel(kernel, *parts)
    length = inputs.shape[2]
    piece = math.isqrt(length - 1) + 1
    inputs, steps, writes, reads = (_pieces(parts[place], piece) for place in (0, 1, 3, 4))
    with torch.autocast(inputs.device.type, enabled=False):
        found = _SelectiveScan.apply(inputs, steps, parts[2], writes, reads)
    return found.permute(1, 3, 2, 0, 4).flatten(2, 3)[:, :, :length]


def _pieces(sequences: Tensor, piece: int) -> Tensor:
    """Return (Q, B, K, G, C) of sequences (B, G, L, C): K pieces of Q tokens; tokens that are lacking are 0."""
    padded = F.pad(sequences, (0, 0, 0, -sequences.shape[2] % piece))
    return padded.unflatten(2, (-1, piece)).permute(3, 0, 2, 1, 4).contiguous()


class _SelectiveScan(torch.autograd.Function):
    """The scan over pieces (Q, B, K, G, ...) with its own gradient: the same recurrence, backwards.

    Decays and states, which are N times as large as all else, are computed again for the gradient and not kept.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, steps: Tensor, rates: Tensor, writes: Tensor, reads: Tensor) -> Tensor:
        decays, states = _decays(steps, rates), _outer(steps * inputs, writes)
        starts = _starts(_ends(decays, states), _decays(steps.sum(dim=0), rates))
        _advance(decays, states, starts)
        ctx.save_for_backward(inputs, steps, rates, writes, reads, starts)
        return _inner(states, reads)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        gradient = gradients[0]
        inputs, steps, rates, writes, reads, starts = ctx.saved_tensors
        with torch.autocast(inputs.device.type, enabled=False):
            decays, states = _decays(steps, rates), _outer(steps * inputs, writes)
            _advance(decays, states, starts)
            to_reads = _weighted(gradient, states)
            to_states = _outer(gradient, reads)
            exponents = _flow_back(decays, to_states, _decays(steps.sum(dim=0), rates))
            exponents[1:] *= states[:-1]
            exponents[0] *= starts
            written = _inner(to_states, writes)
            to_writes = _weighted(steps * inputs, to_states)
            to_rates = _summed(steps, exponents)
            to_steps = exponents.mul_(rates).sum(dim=-1) + inputs * written
        return steps * written, to_steps, to_rates, to_writes, to_reads


def _decays(steps: Tensor, rates: Tensor) -> Tensor:
    """Return (..., G, D, N): what is left of a state after steps (..., G, D)."""
    return (steps[..., None] * rates).exp_()


def _outer(values: Tensor, weights: Tensor) -> Tensor:
    """Return (..., D, N) of (..., D) and (..., N)."""
    return values[..., :, None] * weights[..., None, :]


def _inner(states: Tensor, weights: Tensor) -> Tensor:
    """Return (..., D): states (..., D, N) weighted by (..., N)."""
    return (states @ weights[..., None]).squeeze(-1)


def _weighted(values: Tensor, states: Tensor) -> Tensor:
    """Return (..., N): states (..., D, N) weighted by (..., D)."""
    return (values[..., None, :] @ states).squeeze(-2)


def _summed(values: Tensor, states: Tensor) -> Tensor:
    """Return (G, D, N): states (Q, B, K, G, D, N) times (Q, B, K, G, D), summed over all tokens without a copy."""
    total = torch.zeros_like(states[0])
    for value, state in zip(values, states, strict=True):
        total.addcmul_(value[..., None], state)
    return total.sum(dim=(0, 1))


def _ends(decays: Tensor, written: Tensor) -> Tensor:
    """Return the state (B, K, G, D, N) at the end of each piece that starts from nothing."""
    state = written[0].clone()
    for decay, new in zip(decays[1:], written[1:], strict=True):
        torch.addcmul(new, decay, state, out=state)
    return state


def _starts(ends: Tensor, totals: Tensor) -> Tensor:
    """Return the state (B, K, G, D, N) in which each piece really starts; `totals` are the decays over whole pieces."""
    starts = torch.zeros_like(ends)
    for piece in range(1, ends.shape[1]):
        before = piece - 1
        torch.addcmul(ends[:, before], totals[:, before], starts[:, before], out=starts[:, piece])
    return starts


def _advance(decays: Tensor, written: Tensor, starts: Tensor) -> None:
    """Turn what each token writes into the state after it, in place."""
    state = starts
    for decay, new in zip(decays, written, strict=True):
        state = new.addcmul_(decay, state)


def _flow_back(decays: Tensor, gradients: Tensor, totals: Tensor) -> Tensor:
    """Add to the gradient of each state, in place, what later tokens send it; return what each token sends on.

    That takes the place of `decays`.
    """
    sent = decays[-1] * gradients[-1]
    for decay, gradient in zip(reversed(decays[:-1].unbind()), reversed(gradients[:-1].unbind()), strict=True):
        sent.add_(gradient).mul_(decay)
    received = _starts(sent.flip(1), totals.flip(1)).flip(1)
    for decay, gradient in zip(reversed(decays.unbind()), reversed(gradients.unbind()), strict=True):
        gradient.add_(received)
        received = decay.mul_(gradient)
    return decays


@cache
def _kernel() -> Any:
    """Return the kernel of mamba_ssm; None where it is not installed."""
    try:
        return import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn
    except ImportError:
        return None


def _by_kernel(kernel: Any, inputs: Tensor, steps: Tensor, rates: Tensor, writes: Tensor, reads: Tensor) -> Tensor:
    """Return the same by mamba_ssm, which has channels before tokens and all sequences' channels in one axis."""
    channels = [part.transpose(2, 3).flatten(1, 2).contiguous() for part in (inputs, steps)]
    weights = [part.transpose(2, 3).contiguous() for part in (writes, reads)]
    found = kernel(*channels, rates.flatten(0, 1).contiguous(), *weights)
    return found.unflatten(1, (inputs.shape[1], -1)).transpose(2, 3)
