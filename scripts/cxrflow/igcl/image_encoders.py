"""Encoders of radiographs: a residual network of the backbone's shape, or any timm network (published: CLIP's)."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from cxrflow.backbone.encoder import load_backbone
from cxrflow.backbone.settings import BACKBONE
from cxrflow.errors import UserError
from cxrflow.igcl.settings import ImageEncoderSettings
from cxrflow.networks import STEM_STRIDE, ImagenetInput, PooledResNet, pooled, timm_network
from cxrflow.weights import load_published

KEY = "igcl.image_encoder"


class ImageEncoder(nn.Module):
    """A network that makes (B, `width`) of images (B, 1, S, S) in 0..1."""

    width: int


class SmallEncoder(PooledResNet, ImageEncoder):
    """Our residual network, with a stem like the backbone's; pooled over the radiograph, and over each of `grid` by
    `grid` parts of it where that is more than 1."""

    def __init__(self, widths: tuple[int, ...], grid: int = 1) -> None:
        super().__init__(widths, STEM_STRIDE)
        self.grid = grid
        self.width *= 1 + grid**2 if grid > 1 else 1

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, width): means and maxima over all places, then those over each part, row by row."""
        places = self.body(images)
        return torch.cat([pooled(part) for part in [places, *parts(places, self.grid)]], dim=1)


class TimmEncoder(ImageEncoder):
    """A timm network without its classifier, on images normalised as its weights expect."""

    def __init__(self, settings: ImageEncoderSettings, image_size: int) -> None:
        super().__init__()
        self.body = timm_network(settings.name, settings.weights, KEY)
        self.width = int(self.body.num_features)  # type: ignore[arg-type]
        self.normalise = ImagenetInput()
        expected = self.body.pretrained_cfg
        for name in ("mean", "std"):
            getattr(self.normalise, name).copy_(torch.tensor(expected[name]).view(1, 3, 1, 1))  # type: ignore[index]
        _require_size(self.body, settings.name, image_size)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, width) of images (B, 1, S, S) in 0..1."""
        return self.body(self.normalise(images))


def build_image_encoder(settings: ImageEncoderSettings, image_size: int, backbone: Path | None = None) -> ImageEncoder:
    """Return the encoder with the weights that it starts from; `backbone` is the file of the trained backbone."""
    if settings.name != "resnet_small":
        _require_other_than_backbone(settings)
        return TimmEncoder(settings, image_size)
    _require_places(settings, image_size)
    encoder = SmallEncoder(settings.widths, settings.grid)
    if settings.weights == BACKBONE:
        load_backbone(encoder.body, backbone, KEY)
    elif settings.weights is not None:
        load_published(encoder.body, settings.weights, f"{KEY}.weights")
    return encoder


def parts(places: Tensor, grid: int) -> list[Tensor]:
    """Divide (B, S * S, d) into `grid` by `grid` parts (B, n, d), row by row, as even as S allows; none for 1."""
    if grid == 1:
        return []
    maps = places.unflatten(1, (math.isqrt(places.shape[1]), -1))
    return [part.flatten(1, 2) for row in maps.tensor_split(grid, dim=1) for part in row.tensor_split(grid, dim=2)]


def _require_places(settings: ImageEncoderSettings, image_size: int) -> None:
    """Raise UserError where some part of the grid would be without a place."""
    side = image_size // (STEM_STRIDE * 2 ** len(settings.widths))
    if settings.grid > max(1, side):
        raise UserError(
            f"{KEY}.grid is {settings.grid}, and a radiograph of {image_size} px has {side} by {side} places.",
            f"Set {KEY}.grid to {max(1, side)} or less, or igcl.data.image_size to more.",
        )


def _require_other_than_backbone(settings: ImageEncoderSettings) -> None:
    if settings.weights == BACKBONE:
        raise UserError(
            f"{KEY} is {settings.name!r} and starts from the backbone, which is of another kind.",
            f"Give {KEY}.weights `hub`, a safetensors file in timm's naming, or null (from scratch).",
        )


def _require_size(network: nn.Module, name: str, image_size: int) -> None:
    """Raise UserError where a vision transformer was made for radiographs of another size."""
    expected = getattr(getattr(network, "patch_embed", None), "img_size", None)
    if expected is not None and tuple(expected) != (image_size, image_size):
        raise UserError(
            f"igcl.data.image_size is {image_size}, and {name} sees images of {expected[0]} px.",
            f"Set igcl.data.image_size to {expected[0]}, or take a network made for {image_size} px.",
        )
