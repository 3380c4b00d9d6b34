"""Augmentation of a whole batch at once: small rotation, shift, zoom, brightness and contrast; a flip only if asked.

A flip would make a report's words left and right wrong, and moves the heart to the other side.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """The largest change of each kind: degrees, shares of the side (shift), of the size (zoom) and of the grey scale
    (brightness; contrast as a share of itself). `flip` mirrors every other image on average."""

    rotation: float = 10
    shift: float = 0.05
    zoom: float = 0.08
    brightness: float = 0.1
    contrast: float = 0.15
    flip: bool = False


def augment(images: Tensor, generator: torch.Generator, how: Augmentation = Augmentation()) -> Tensor:
    """Return a randomly changed copy of images (B, 1, S, S) in 0..1; `generator` lives on the processor."""
    draws = (2 * torch.rand(len(images), 6, generator=generator) - 1).to(images.device)
    places = _places(_placement(draws, how), images.shape[-1])
    moved = F.grid_sample(images, places, padding_mode="border", align_corners=False)
    if how.flip:
        mirrored = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
        moved = torch.where(mirrored[:, None, None, None], moved.flip(-1), moved)
    brightness, contrast = (draws[:, column, None, None, None] for column in (4, 5))
    centre = moved.mean(dim=(2, 3), keepdim=True)
    return ((moved - centre) * (1 + how.contrast * contrast) + centre + how.brightness * brightness).clamp(0, 1)


def _placement(draws: Tensor, how: Augmentation) -> Tensor:
    """Return (B, 6) the rows of affine matrices (2, 3) of draws in -1..1 (angle, zoom, shift x, shift y)."""
    angle, zoom = math.radians(how.rotation) * draws[:, 0], 1 + how.zoom * draws[:, 1]
    cosine, sine = zoom * torch.cos(angle), zoom * torch.sin(angle)
    rows = [cosine, -sine, 2 * how.shift * draws[:, 2], sine, cosine, 2 * how.shift * draws[:, 3]]
    return torch.stack(rows, dim=1)


def _places(placement: Tensor, side: int) -> Tensor:
    """Return the grid (B, S, S, 2) of affine maps (B, 6); a third of the time of torch's own, which multiplies matrices
    of three columns."""
    line = (2 * torch.arange(side, device=placement.device) + 1) / side - 1
    xx, xy, x, yx, yy, y = placement[:, :, None, None].unbind(dim=1)
    return torch.stack([xx * line + (xy * line[:, None] + x), yx * line + (yy * line[:, None] + y)], dim=-1)
