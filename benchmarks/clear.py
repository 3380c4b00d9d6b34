"""The following encoder, lesions of key slices, and the selective scan against code written the released way."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.timing import Comparison
from cxrflow.clear.lesion_table import LesionTable
from cxrflow.clear.moco import move_towards
from cxrflow.clear.selective_scan import selective_scan
from cxrflow.clear.slices import draw_sides, lesion_crops
from cxrflow.memory import keep_freed_memory

MOMENTUM, BLOCKS, NARROW, WIDE = 0.99, 11, 384, 4096  # vit_conv_small's blocks and its projector: 38 million parameters
ROWS, SLICES, SIDE, SEEN = 32_000, 64, 512, 224
TOKENS, WIDTH, HEADS, STATES, IMAGES = 196, 384, 12, 16, 8
LONG = 4096


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """Yield the comparisons of this room."""
    yield [_following(), _lesions(), _attention(), _long_sequences()]


def _following() -> Comparison:
    """The update of the following encoder: all parameters at once in place, and one new tensor after the other."""
    torch.manual_seed(0)
    shapes = [(3 * NARROW, NARROW), (NARROW, NARROW), (4 * NARROW, NARROW), (NARROW, 4 * NARROW)] * BLOCKS
    shapes += [(WIDE, NARROW), (WIDE, WIDE), (256, WIDE)]
    models = [nn.Parameter(torch.randn(*shape)) for shape in shapes]
    follower = [nn.Parameter(model.detach().clone(), requires_grad=False) for model in models]

    def ours() -> None:
        move_towards(follower, models, MOMENTUM)

    def reference() -> None:
        for copy, model in zip(follower, models, strict=True):
            copy.data = copy.data * MOMENTUM + model.data * (1.0 - MOMENTUM)

    millions = sum(model.numel() for model in models) / 1e6
    return Comparison(f"momentum update of {millions:.0f} million parameters", ours, reference, goal=4, repeats=9)


def _lesions() -> Comparison:
    """From the names of a batch of key slices to crops around their lesions."""
    rng = np.random.default_rng(0)
    names = [f"{number:06d}_01_01_{number % 300:03d}.png" for number in range(ROWS)]
    corners = rng.integers(100, 400, (ROWS, 2))
    boxes = np.concatenate([corners, corners + rng.integers(10, 60, (ROWS, 2))], axis=1).astype(np.float32)
    table = LesionTable.of(names, boxes)
    written = [",".join(f"{value:g}" for value in box) for box in boxes.tolist()]
    frame = pd.DataFrame({"File_name": np.array(names, dtype=object), "Bounding_boxes": written})
    chosen = [names[place] for place in rng.choice(ROWS, SLICES, replace=False)]
    pixels = rng.integers(0, 256, (SLICES, SIDE, SIDE), dtype=np.uint8)
    pictures = [Image.fromarray(each).convert("RGB") for each in pixels]
    generator = torch.Generator().manual_seed(0)

    def ours() -> Tensor:
        keep_freed_memory()  # as the process of the pretraining does; the comparison before is made without
        drawn = torch.from_numpy(table.draw(table.key_slices(chosen), rng))
        images = torch.from_numpy(pixels)[:, None].float()
        return lesion_crops(images, drawn, draw_sides(SLICES, SIDE, SIDE, generator), SEEN) / 255

    def reference() -> Tensor:
        return torch.stack([_one_by_one(frame, *pair) for pair in zip(chosen, pictures, strict=True)])

    return Comparison(f"lesions and crops of {SLICES} key slices, table of {ROWS:,}", ours, reference, goal=10)


def _one_by_one(table: pd.DataFrame, name: str, picture: Image.Image) -> Tensor:
    """Return one crop (3, S, S): the table is searched for the name, twice, and the crop is cut from the picture."""
    assert name in table["File_name"].to_numpy()
    found = table[table["File_name"] == name]["Bounding_boxes"].tolist()
    x1, y1, x2, y2 = (float(number) for number in random.choice(found).split(","))
    least = int(0.08**0.5 * SIDE)
    height, width = random.randint(least, SIDE - 1), random.randint(least, SIDE - 1)
    left, top = int((x1 + x2 - width) / 2), int((y1 + y2 - height) / 2)
    crop = picture.crop((left, top, left + width, top + height)).resize((SEEN, SEEN), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(crop)).permute(2, 0, 1).float() / 255


class Scanning(nn.Module):
    """A layer that mixes tokens by one selective scan, with the projections that choose its steps and weights."""

    def __init__(self) -> None:
        super().__init__()
        self.rank = WIDTH // 16
        self.choose, self.step = nn.Linear(WIDTH, self.rank + 2 * STATES, bias=False), nn.Linear(self.rank, WIDTH)
        self.rates = nn.Parameter(-torch.arange(1.0, STATES + 1).repeat(1, WIDTH, 1))
        self.leave = nn.Linear(WIDTH, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, L, WIDTH) of tokens of this shape."""
        ranks, *weights = self.choose(tokens).split([self.rank, STATES, STATES], dim=-1)
        writes, reads = (weight[:, None] for weight in weights)
        steps = F.softplus(self.step(ranks))[:, None]
        return self.leave(selective_scan(tokens[:, None], steps, self.rates, writes, reads)[:, 0])


class Attending(nn.Module):
    """A layer that mixes tokens by self-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, L, WIDTH) of tokens of this shape."""
        query, key, value = self.enter(tokens).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        return self.leave(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


def _attention() -> Comparison:
    """Forward and backward pass at the tokens of an image of 224 px; a third of attention's speed is the goal."""
    scan, attention = Scanning(), Attending()
    tokens = torch.randn(IMAGES, TOKENS, WIDTH, requires_grad=True)
    name = f"selective scan beside attention, {TOKENS} tokens"
    return Comparison(name, lambda: _step(scan, tokens), lambda: _step(attention, tokens), goal=1 / 3)


def _long_sequences() -> Comparison:
    """As many tokens in one sequence and in many short ones: time per token is the same if work is linear."""
    scan = Scanning()
    one = torch.randn(1, LONG, WIDTH, requires_grad=True)
    many = torch.randn(LONG // TOKENS, TOKENS, WIDTH, requires_grad=True)
    name = f"selective scan of {LONG:,} tokens beside {LONG // TOKENS} times {TOKENS}"
    return Comparison(name, lambda: _step(scan, one), lambda: _step(scan, many), goal=0.8, repeats=3)


def _step(layer: nn.Module, tokens: Tensor) -> None:
    layer.zero_grad(set_to_none=True)
    layer(tokens).square().mean().backward()
