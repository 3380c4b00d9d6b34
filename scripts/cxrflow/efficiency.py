"""What a pass costs: multiplications, seconds and memory, of a model and not of its loader."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from cxrflow.training import this_device

TURNS = 5


class Cost(NamedTuple):
    """Multiply-accumulate operations of a pass; of these, the products inside attention."""

    macs: float
    attention: float


def counted(work: Callable[[], object]) -> Cost:
    """Return the cost of a pass, counted on a real one: products of matrices and convolutions."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        work()
    by_operation = counter.get_flop_counts()["Global"]
    products = sum(flops for operation, flops in by_operation.items() if "bmm" in str(operation))
    return Cost(sum(by_operation.values()) / 2, products / 2)


def seconds_per_pass(passes: Sequence[Callable[[], object]], turns: int = TURNS) -> list[float]:
    """Return the median seconds of each pass; they take turns, so that all meet the same machine."""
    for work in passes:
        work()
    taken: list[list[float]] = [[] for _ in passes]
    for _ in range(turns):
        for work, times in zip(passes, taken, strict=True):
            times.append(_timed(work))
    return [statistics.median(times) for times in taken]


def peak_bytes(work: Callable[[], object]) -> float:
    """Return the memory that a pass adds at its peak: tensors that it holds at once, by the allocator's own account."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return float(torch.cuda.max_memory_allocated() - before)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    events = sorted(profiled.events(), key=lambda event: event.time_range.start)
    held = np.cumsum([0, *(event.self_cpu_memory_usage for event in events)])
    return float(held.max())


def cost_table(encoders: Mapping[str, nn.Module], sides: Mapping[str, int], batch: int) -> pd.DataFrame:
    """Return one row per encoder: macs (of one image), parameters, images_per_s, peak_bytes (of a batch), image_size.

    Images are of the encoder's side in pixels and noise: no encoder is faster for what it sees. Encoders take turns.
    """
    noise = {name: _noise(batch, side) for name, side in sides.items()}
    passes = {name: image_pass(encoder.to(this_device()).eval(), noise[name]) for name, encoder in encoders.items()}
    seconds = seconds_per_pass(list(passes.values()))
    rows = [
        {
            "encoder": name,
            "macs": counted(image_pass(encoders[name], noise[name][:1])).macs,
            "parameters": sum(parameter.numel() for parameter in encoders[name].parameters()),
            "images_per_s": batch / took,
            "peak_bytes": peak_bytes(work),
            "image_size": sides[name],
            "batch": batch,
            "device": str(this_device()),
        }
        for (name, work), took in zip(passes.items(), seconds, strict=True)
    ]
    return pd.DataFrame(rows)


def image_pass(encoder: Callable[[Tensor], object], images: Tensor) -> Callable[[], object]:
    """Return a pass of images through an encoder, over when it is over on the device."""

    @torch.no_grad()
    def work() -> None:
        encoder(images)
        if images.is_cuda:
            torch.cuda.synchronize()

    return work


def _noise(batch: int, side: int) -> Tensor:
    return torch.rand(batch, 1, side, side, generator=torch.Generator().manual_seed(0)).to(this_device())


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
