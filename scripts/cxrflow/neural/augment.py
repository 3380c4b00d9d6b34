"""Augmentation of a whole batch at once: small rotation, shift, zoom, brightness and contrast; never a flip.

A flip would make the report's words left and right wrong.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

ROTATION = math.radians(10)
SHIFT = 0.05
ZOOM = 0.08
BRIGHTNESS = 0.1
CONTRAST = 0.15


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return a randomly changed copy of images (B, 1, S, S) in 0..1; `generator` lives on the processor."""
    draws = (2 * torch.rand(len(images), 6, generator=generator) - 1).to(images.device)
    grid = F.affine_grid(_placement(draws), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    brightness, contrast = (draws[:, column, None, None, None] for column in (4, 5))
    centre = moved.mean(dim=(2, 3), keepdim=True)
    return ((moved - centre) * (1 + CONTRAST * contrast) + centre + BRIGHTNESS * brightness).clamp(0, 1)


def _placement(draws: Tensor) -> Tensor:
    """Return (B, 2, 3) affine matrices of draws in -1..1 (angle, zoom, shift x, shift y)."""
    angle, zoom = ROTATION * draws[:, 0], 1 + ZOOM * draws[:, 1]
    cosine, sine = zoom * torch.cos(angle), zoom * torch.sin(angle)
    rows = [cosine, -sine, 2 * SHIFT * draws[:, 2], sine, cosine, 2 * SHIFT * draws[:, 3]]
    return torch.stack(rows, dim=1).view(-1, 2, 3)
