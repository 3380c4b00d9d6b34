"""MoCo v3 (Chen et al. 2021): an encoder learns to tell what a slowly following copy makes of another view."""

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import pairwise
from typing import Literal

import torch
from accelerate.utils import gather, pad_across_processes
from torch import Tensor, nn
from torch.nn import functional as F

from cxrflow.clear.architectures import SliceEncoder
from cxrflow.clear.lesion_loss import lesion_loss
from cxrflow.training import process_count, processes


class MomentumContrast(nn.Module):
    """Encoder, projector and predictor, and the copy of the first two that follows them before each training batch.

    `momentum` is that of an update by its number; statistics of batch norms are each side's own.
    """

    def __init__(
        self,
        encoder: SliceEncoder,
        hidden: int,
        width: int,
        temperature: float,
        weight: float,
        momentum: Callable[[int], float],
    ) -> None:
        super().__init__()
        self.base = nn.Sequential(encoder, perceptron([encoder.width, hidden, hidden, width]))
        self.predictor = perceptron([width, hidden, width])
        self.follower = deepcopy(self.base).requires_grad_(False)
        self.temperature, self.weight, self.momentum = temperature, weight, momentum
        self.updates = 0

    @property
    def encoder(self) -> SliceEncoder:
        """What is kept after pretraining."""
        encoder = self.base[0]
        assert isinstance(encoder, SliceEncoder)
        return encoder

    def forward(self, first: Tensor, second: Tensor, lesions: Tensor) -> Tensor:
        """Return the loss of two views (B, 1, S, S) of each slice; `lesions` (B,) bool are key slices.

        While it trains, the keys of all processes are negatives; their rows of a batch come in the order of the ranks.
        """
        if self.training:
            move_towards(self.follower.parameters(), self.base.parameters(), self.momentum(self.updates))
            self.updates += 1
        queries = [F.normalize(self.predictor(self.base(view)).float(), dim=1) for view in (second, first)]
        with torch.no_grad():
            keys = [F.normalize(self.follower(view).float(), dim=1) for view in (first, second)]
        share = gathered if self.training and process_count() > 1 else alone
        loss = queries[0].new_zeros(())
        for query, key in zip(queries, keys, strict=True):
            every, key_slices, valid, own = share(key, lesions)
            loss = loss + lesion_loss(query, every, own, key_slices, self.temperature, self.weight, valid)
        return loss

    def get_extra_state(self) -> Tensor:
        """Return how many updates there were: training that goes on after a kill goes on from there."""
        return torch.tensor(self.updates)

    def set_extra_state(self, state: Tensor) -> None:
        """Take that number."""
        self.updates = int(state)


def perceptron(widths: list[int]) -> nn.Sequential:
    """Return linear layers without bias, each with a batch norm, ReLU between them; the last norm learns nothing."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers[:-2], nn.BatchNorm1d(widths[-1], affine=False))


@torch.no_grad()
def move_towards(copies: Iterable[Tensor], models: Iterable[Tensor], momentum: float) -> None:
    """Make copies momentum * copy + (1 - momentum) * model, in place and all at once."""
    torch._foreach_lerp_(list(copies), list(models), 1 - momentum)


def momentum_of(update: int, updates: int, first: float, schedule: Literal["constant", "cosine"]) -> float:
    """Return the momentum of one of so many updates: constant, or rising to 1 along half a cosine."""
    if schedule == "constant":
        return first
    return 1 - (1 - first) * 0.5 * (1 + math.cos(math.pi * min(1.0, update / updates)))


def alone(keys: Tensor, lesions: Tensor) -> tuple[Tensor, Tensor, None, Tensor]:
    """Return the keys of one process, its key slices, that all exist, and the place of each own key."""
    return keys, lesions, None, torch.arange(len(keys), device=keys.device)


def gathered(keys: Tensor, lesions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the same for all processes; where they have unlike shares, keys that do not exist fill them up."""
    parts = (keys, lesions.float(), torch.ones_like(lesions, dtype=torch.float32))
    every, key_slices, valid = (gather(pad_across_processes(part.contiguous())) for part in parts)
    first = processes().process_index * (len(every) // process_count())
    return every, key_slices > 0, valid > 0, first + torch.arange(len(keys), device=keys.device)
