"""Views of CT slices for contrastive learning: crops around lesions, cut from a whole batch at once.

A crop is centred on the middle of its box. The published code unpacked "x1,y1,x2,y2" in another order and centred it on
(x1, y2), the box's lower left corner, which cuts small lesions off.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST_AREA = 0.08
"""Share of a slice's area that the smallest crop has, as in CLEAR."""


def box_centres(boxes: Tensor) -> Tensor:
    """Return the middles (N, 2: x, y) of boxes (N, 4: x1, y1, x2, y2)."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def draw_sides(
    count: int, height: int, width: int, generator: torch.Generator, least_area: float = LEAST_AREA
) -> Tensor:
    """Return heights and widths (N, 2) of crops in pixels, each drawn for itself.

    They lie between the slice's own sides and those of `least_area` of it: 145 to 512 pixels of 512.
    """
    least = math.sqrt(least_area)
    sides = torch.tensor([height, width], dtype=torch.float32)
    return sides * (least + (1 - least) * torch.rand(count, 2, generator=generator))


def lesion_crops(images: Tensor, boxes: Tensor, sides: Tensor, size: int) -> Tensor:
    """Return crops (N, C, size, size) of images (N, C, H, W) around boxes (N, 4: x1, y1, x2, y2 in pixels of these).

    `sides` (N, 2) are heights and widths. What lies outside of the image is 0; the aspect ratio is not kept.
    """
    return crops(images, box_centres(boxes), sides, size)


def crops(images: Tensor, centres: Tensor, sides: Tensor, size: int) -> Tensor:
    """Return crops (N, C, size, size) of images (N, C, H, W) of the given sides (N, 2: height, width) about `centres`
    (N, 2: x, y), all in pixels; 0 outside.

    A pixel is the mean of as many samples as keep the largest crop from being thinned out, so its value does not depend
    on what else is in the batch. Rows are mixed first and columns then, each from the few that it lies between.
    """
    height, width = images.shape[-2:]
    finer = max(1, math.ceil(max(height, width) / size))
    line = (torch.arange(size * finer, device=images.device) + 0.5) / (size * finer) - 0.5
    rows = _mixed(images, *_taps(centres[:, 1], sides[:, 0], line, height, finer))
    return _mixed(rows.mT, *_taps(centres[:, 0], sides[:, 1], line, width, finer)).mT


def _taps(centre: Tensor, side: Tensor, line: Tensor, length: int, finer: int) -> tuple[Tensor, Tensor]:
    """Return which of `length` lines of pixels each line of a crop is mixed of, and their shares: (N, S, 2 finer) each.

    `line` (S finer) spans one side; lines outside of the image have no share.
    """
    at = centre[:, None] + side[:, None] * line - 0.5
    before = at.floor()
    places = torch.stack([before, before + 1], dim=-1)
    shares = torch.stack([1 - (at - before), at - before], dim=-1) / finer
    shares = shares * ((places >= 0) & (places < length))
    whole = places.clamp(0, length - 1).long()
    return whole.unflatten(1, (-1, finer)).flatten(2), shares.unflatten(1, (-1, finer)).flatten(2)


def _mixed(images: Tensor, places: Tensor, shares: Tensor) -> Tensor:
    """Return (N, C, S, W): the sums of rows of images (N, C, H, W) at some places by their shares (N, S, T)."""
    count, channels, height = images.shape[:3]
    first = (torch.arange(count * channels, device=images.device) * height).view(count, channels, 1, 1)
    rows = (first + places[:, None]).flatten(0, 2)
    weights = shares[:, None].expand(-1, channels, -1, -1).flatten(0, 2).to(images.dtype)
    found = F.embedding_bag(rows, images.flatten(0, 2), mode="sum", per_sample_weights=weights)
    return found.unflatten(0, (count, channels, -1))
