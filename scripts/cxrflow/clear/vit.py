"""The vision transformers of MoCo v3 (Chen et al. 2021): fixed places, and patches by convolutions where asked."""

import math
from itertools import pairwise
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

PATCH = 16
_WAVELENGTHS = 10_000.0


class ConvStem(nn.Module):
    """Patches by four 3 x 3 convolutions, each halving the side, and one of 1 x 1 (Xiao et al. 2021).

    It takes what timm gives to an embedding of patches; a bias of its own is in the norms.
    """

    def __init__(
        self, img_size: int, patch_size: int = PATCH, in_chans: int = 3, embed_dim: int = 768, **others: Any
    ) -> None:
        super().__init__()
        widths = [in_chans, embed_dim // 8, embed_dim // 4, embed_dim // 2, embed_dim]
        self.img_size, self.patch_size = (img_size, img_size), (patch_size, patch_size)
        self.grid_size = (img_size // patch_size, img_size // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        self.proj = nn.Sequential(*layers, nn.Conv2d(embed_dim, embed_dim, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, patches, embed_dim) of images (B, 3, S, S)."""
        return self.proj(images).flatten(2).transpose(1, 2)


def vision_transformer(image_size: int, width: int, depth: int, heads: int = 12, conv: bool = False) -> nn.Module:
    """Return a network (B, 3, S, S) -> (B, width): the class token after the last norm, S divisible by 16."""
    stem = {"embed_layer": ConvStem} if conv else {}
    network = VisionTransformer(
        img_size=image_size,
        patch_size=PATCH,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        num_classes=0,
        weight_init="moco",
        **stem,  # type: ignore[arg-type]
    )
    fixed = torch.cat([torch.zeros(1, width), places(image_size // PATCH, width)])
    network.pos_embed = nn.Parameter(fixed[None], requires_grad=False)
    network.cls_token = nn.Parameter(1e-6 * torch.randn(1, 1, width))
    if not conv:
        _even(network.patch_embed.proj)
    return network


def places(side: int, width: int) -> Tensor:
    """Return (side^2, width): sines and cosines of column and row, a quarter of the width each; row by row."""
    rates = _WAVELENGTHS ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angles = torch.arange(side, dtype=torch.float64)[:, None] * rates
    one = torch.cat([angles.sin(), angles.cos()], dim=1).float()
    columns, rows = one.repeat(side, 1), one.repeat_interleave(side, dim=0)
    return torch.cat([columns, rows], dim=1)


def rest_patches(network: nn.Module) -> None:
    """Leave the embedding of patches as it begins, where it is one matrix (MoCo v3: training gets steadier)."""
    embedding = getattr(getattr(network, "patch_embed", None), "proj", None)
    if isinstance(network, VisionTransformer) and isinstance(embedding, nn.Conv2d):
        embedding.requires_grad_(False)


def _even(projection: Any) -> None:
    """Draw the weights of a projection of patches as those of a matrix (Xavier and Bengio's rule)."""
    inputs = projection.weight[0].numel()
    bound = math.sqrt(6 / (inputs + projection.out_channels))
    nn.init.uniform_(projection.weight, -bound, bound)
    nn.init.zeros_(projection.bias)
