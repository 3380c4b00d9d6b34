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
    on what else is in the batch.
    """
    height, width = images.shape[-2:]
    finer = max(1, math.ceil(max(height, width) / size))
    line = (torch.arange(size * finer, device=images.device) + 0.5) / (size * finer) - 0.5
    x = _grid_units(centres[:, 0], sides[:, 1], line, width)
    y = _grid_units(centres[:, 1], sides[:, 0], line, height)
    shape = (len(images), len(line), len(line))
    grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=-1)
    sampled = F.grid_sample(images, grid.to(images.dtype), padding_mode="zeros", align_corners=False)
    return F.avg_pool2d(sampled, finer) if finer > 1 else sampled


def _grid_units(centre: Tensor, side: Tensor, line: Tensor, length: int) -> Tensor:
    """Return places (N, S) along one axis, -1 to 1 from edge to edge of `length` pixels; `line` (S) spans one side."""
    return 2 * (centre[:, None] + side[:, None] * line) / length - 1
