"""Encoders: radiographs become 144 patch features, row by row over a 12 x 12 grid."""

import math
from pathlib import Path

from torch import Tensor, nn

from cxrflow.backbone.encoder import load_backbone
from cxrflow.backbone.settings import BACKBONE
from cxrflow.errors import UserError
from cxrflow.networks import ImagenetInput, SmallResNet, timm_network
from cxrflow.neural.settings import GRID_SIDE, PATCHES, EncoderSettings
from cxrflow.weights import load_published

KEY = "neural.vlm.encoder"


class TimmEncoder(nn.Module):
    """Any timm network whose last feature map is 12 x 12, e.g. Swin-base at 384 px (1,024 wide)."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.body = timm_network(settings.name, settings.weights, KEY)
        self.width: int = self.body.num_features  # type: ignore[assignment]
        self.normalise = ImagenetInput()

    def forward(self, images: Tensor) -> Tensor:
        """Return patch features (B, 144, width) of grey images (B, 1, S, S) in 0..1."""
        features = self.body.forward_features(self.normalise(images))  # type: ignore[operator]
        return as_patches(features, self.width)


def as_patches(features: Tensor, width: int) -> Tensor:
    """Return (B, 144, width) from timm's (B, H, W, C), (B, C, H, W) or (B, prefix + patches, C)."""
    if features.ndim == 4:
        channels_last = features if features.shape[-1] == width else features.permute(0, 2, 3, 1)
        features = channels_last.flatten(1, 2)
    else:
        features = features[:, -PATCHES:]
    if features.shape[1] != PATCHES:
        raise UserError(
            f"The encoder gives {features.shape[1]} patches, expected {GRID_SIDE} x {GRID_SIDE} = {PATCHES}.",
            "Choose image_size = 12 x the encoder's stride, e.g. 384 for Swin.",
        )
    return features


def small_encoder(image_size: int, settings: EncoderSettings) -> SmallResNet:
    """Return our residual network; the last of `widths` are the channels of the stages between stem and patches.

    Where there are more stages than widths, the last one is repeated.
    """
    halvings = int(math.log2(image_size // GRID_SIDE)) - int(math.log2(settings.stem_stride))
    widths = list(settings.widths[-halvings:])
    return SmallResNet(widths + widths[-1:] * (halvings - len(widths)), settings.stem_stride)


def build_encoder(
    settings: EncoderSettings, image_size: int, backbone: Path | None = None
) -> SmallResNet | TimmEncoder:
    """Return the encoder that the configuration names; `backbone` is the file of the trained backbone."""
    if settings.name == "resnet_small":
        encoder = small_encoder(image_size, settings)
        if settings.weights == BACKBONE:
            load_backbone(encoder, backbone, KEY)
        elif settings.weights is not None:
            load_published(encoder, settings.weights, f"{KEY}.weights")
        return encoder
    return TimmEncoder(settings)
