"""A backbone after VMamba (Liu et al. 2024): blocks that scan the places of an image in four directions.

Its weights have names of their own: those of the published VMamba do not fit. Paths are not dropped in training.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrflow.clear.selective_scan import selective_scan

DIRECTIONS = 4
SHORTEST_STEP, LONGEST_STEP = 1e-3, 1e-1


class ScanIn2d(nn.Module):
    """Selective scans over the places of a map: by rows and by columns, forwards and backwards, each with its own
    weights; their sum is normalised and gated."""

    def __init__(self, width: int, states: int, expansion: int) -> None:
        super().__init__()
        inner, self.states = expansion * width, states
        self.rank = math.ceil(width / 16)
        self.enter = nn.Linear(width, 2 * inner, bias=False)
        self.local = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.choose = nn.Parameter(torch.empty(DIRECTIONS, self.rank + 2 * states, inner))
        self.step = nn.Parameter(torch.empty(DIRECTIONS, inner, self.rank))
        self.step_bias = nn.Parameter(first_step_bias(DIRECTIONS, inner))
        self.log_rates = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(DIRECTIONS, inner, 1))
        self.skip = nn.Parameter(torch.ones(DIRECTIONS, 1, inner))
        self.norm = nn.LayerNorm(inner)
        self.leave = nn.Linear(inner, width, bias=False)
        nn.init.uniform_(self.choose, -(inner**-0.5), inner**-0.5)
        nn.init.uniform_(self.step, -(self.rank**-0.5), self.rank**-0.5)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps (B, H, W, width) of maps of this shape."""
        height, width = maps.shape[1:3]
        values, gate = self.enter(maps).chunk(2, dim=-1)
        values = F.silu(self.local(values.permute(0, 3, 1, 2)))
        scanned = merged(self._scan(sequences(values)), height, width)
        return self.leave(self.norm(scanned) * F.silu(gate))

    def _scan(self, inputs: Tensor) -> Tensor:
        """Return (B, 4, L, inner) of sequences of this shape; steps, writes and reads are chosen by each token."""
        chosen = torch.einsum("bgle,gre->bglr", inputs, self.choose)
        ranks, writes, reads = chosen.split([self.rank, self.states, self.states], dim=-1)
        steps = F.softplus(torch.einsum("bglr,ger->bgle", ranks, self.step).float() + self.step_bias[:, None])
        rates = -torch.exp(self.log_rates.float())
        return selective_scan(inputs, steps, rates, writes, reads) + self.skip * inputs


class ScanBlock(nn.Module):
    """A scan and a perceptron, each after a norm and beside a shortcut."""

    def __init__(self, width: int, states: int, expansion: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.scan = ScanIn2d(width, states, expansion)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape (B, H, W, width)."""
        maps = maps + self.scan(self.norm(maps))
        return maps + self.perceptron(maps)


class Halving(nn.Module):
    """A 3 x 3 convolution that halves the side of maps (B, H, W, C), and a norm."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(channels_out)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (B, H / 2, W / 2, channels_out)."""
        return self.norm(self.convolution(maps.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class VMamba(nn.Module):
    """Patches of 4 x 4 pixels, then stages of scan blocks, each at half the side of the one before; a mean at the end.

    As VMamba's own defaults: 96 to 768 channels, 2, 2, 9 and 2 blocks, 16 states, inner width twice the outer.
    """

    def __init__(
        self,
        widths: Sequence[int] = (96, 192, 384, 768),
        depths: Sequence[int] = (2, 2, 9, 2),
        states: int = 16,
        expansion: int = 2,
    ) -> None:
        super().__init__()
        self.width = widths[-1]
        self.patches = nn.Sequential(Halving(3, widths[0] // 2), nn.GELU(), Halving(widths[0] // 2, widths[0]))
        stages: list[nn.Module] = []
        for place, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            stages += [Halving(widths[place - 1], width)] if place else []
            stages += [ScanBlock(width, states, expansion) for _ in range(depth)]
        self.stages = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(self.width)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, width) of images (B, 3, H, W)."""
        maps = self.stages(self.patches(images.permute(0, 2, 3, 1)))
        return self.norm(maps).mean(dim=(1, 2))


def sequences(maps: Tensor) -> Tensor:
    """Return the places of maps (B, C, H, W) as (B, 4, H W, C): by rows, by columns, and both backwards."""
    forwards = torch.stack([maps.flatten(2), maps.transpose(2, 3).flatten(2)], dim=1).transpose(2, 3)
    return torch.cat([forwards, forwards.flip(2)], dim=1)


def merged(scanned: Tensor, height: int, width: int) -> Tensor:
    """Return the sum (B, H, W, C) of the four directions (B, 4, H W, C), each put back in its place."""
    forwards = scanned[:, :2] + scanned[:, 2:].flip(2)
    columns = forwards[:, 1].unflatten(1, (width, height)).transpose(1, 2)
    return forwards[:, 0].unflatten(1, (height, width)) + columns


def first_step_bias(*shape: int) -> Tensor:
    """Return biases of which softplus makes steps between 0.001 and 0.1, evenly on a logarithmic scale."""
    low, high = math.log(SHORTEST_STEP), math.log(LONGEST_STEP)
    steps = torch.exp(low + (high - low) * torch.rand(*shape))
    return steps + torch.log(-torch.expm1(-steps))
