"""Encoders: radiographs become 144 patch features, row by row over a 12 x 12 grid."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrflow.errors import UserError
from cxrflow.neural.settings import GRID_SIDE, PATCHES, EncoderSettings

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def with_local_contrast(images: Tensor) -> Tensor:
    """Return (B, 2, S, S): images (B, 1, S, S) in 0..1 centred, and their difference from the surroundings at scale 1.

    The surroundings are the mean over a square of about 1/11 of the side.
    """
    reach = max(1, images.shape[-1] // 24)
    centred = (images - 0.5) / 0.25
    rows = F.avg_pool2d(F.pad(centred, (reach,) * 4, mode="reflect"), (1, 2 * reach + 1), stride=1)
    around = F.avg_pool2d(rows, (2 * reach + 1, 1), stride=1)
    contrast = centred - around
    scale = contrast.square().mean(dim=(2, 3), keepdim=True).sqrt() + 1e-3
    return torch.cat([centred, contrast / scale], dim=1)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; halves the side."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 1, stride=2, bias=False), nn.BatchNorm2d(channels_out)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return (B, channels_out, H / 2, W / 2)."""
        return torch.relu(self.body(maps) + self.shortcut(maps))


class SmallResNet(nn.Module):
    """A residual network that learns from scratch on a processor: a stride-2 stem, then one block per halving.

    It sees each radiograph twice, as it is and as local contrast: small nodules and thin lines are found in minutes
    that way, and hardly otherwise.
    Grey images (B, 1, S, S) with S = 96, 192 or 384 become (B, 144, widths[-1]).
    """

    def __init__(self, image_size: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        halvings = int(math.log2(image_size // GRID_SIDE)) - 1
        channels = [widths[min(stage, len(widths) - 1)] for stage in range(halvings)]
        self.width = channels[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(2, channels[0], 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(channels[0]), nn.ReLU()
        )
        pairs = zip([channels[0], *channels], channels, strict=False)
        self.blocks = nn.Sequential(*(ResidualBlock(before, after) for before, after in pairs))
        self.norm = nn.BatchNorm2d(self.width)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Return patch features (B, 144, width) of images in 0..1."""
        maps = self.norm(self.blocks(self.stem(with_local_contrast(images))))
        return maps.flatten(2).transpose(1, 2)


class TimmEncoder(nn.Module):
    """Any timm network whose last feature map is 12 x 12, e.g. Swin-base at 384 px (1,024 wide)."""

    def __init__(self, settings: EncoderSettings, image_size: int) -> None:
        super().__init__()
        self.body = _timm_body(settings, image_size)
        self.width: int = self.body.num_features  # type: ignore[assignment]
        self.mean = nn.Buffer(torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.std = nn.Buffer(torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return patch features (B, 144, width) of grey images (B, 1, S, S) in 0..1."""
        features = self.body.forward_features((images.expand(-1, 3, -1, -1) - self.mean) / self.std)  # type: ignore[operator]
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


def build_encoder(settings: EncoderSettings, image_size: int) -> SmallResNet | TimmEncoder:
    """Return the encoder that the configuration names."""
    if settings.name == "resnet_small":
        encoder = SmallResNet(image_size, settings.widths)
        if settings.weights is not None:
            _load_file(encoder, settings.weights)
        return encoder
    return TimmEncoder(settings, image_size)


def _timm_body(settings: EncoderSettings, image_size: int) -> nn.Module:
    import timm

    if not timm.is_model(settings.name):
        raise UserError(
            f"neural.vlm.encoder.name is {settings.name!r}, expected 'resnet_small' or the name of a timm model.",
            "timm.list_models('*swin*') lists them; the paper's is swin_base_patch4_window12_384.",
        )
    try:
        body = timm.create_model(settings.name, pretrained=settings.weights == "hub", num_classes=0)
    except OSError as error:
        raise UserError(
            f"The published weights of {settings.name} are not on this machine and cannot be fetched.",
            "Fetch them once where there is a network (they stay in the hub's cache), or set "
            "neural.vlm.encoder.weights to a safetensors file.",
        ) from error
    if settings.weights not in (None, "hub"):
        _load_file(body, str(settings.weights))
    return body


def _load_file(module: nn.Module, weights: str) -> None:
    """Load safetensors weights; the classifier that a published file carries is left out, nothing else may differ."""
    from safetensors.torch import load_file

    path = Path(weights)
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise UserError(
            f"neural.vlm.encoder.weights names {weights}, and there is no such safetensors file.",
            "Give the file itself or the folder with model.safetensors, or null to train from scratch.",
        )
    found = load_file(file)
    missing, unexpected = module.load_state_dict(found, strict=False)
    strange = [name for name in unexpected if not name.startswith(("head.", "fc.", "classifier."))]
    if missing or strange:
        raise UserError(
            f"{file} does not fit the encoder: {len(missing)} of its weights are missing, {len(strange)} are unknown "
            f"(e.g. {(missing + strange)[:3]}).",
            "Take the weights of exactly the named model, in timm's naming.",
        )
