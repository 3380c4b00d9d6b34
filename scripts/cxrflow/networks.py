"""What image encoders of several systems are built from: residual blocks, local contrast, timm networks, weights."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrflow.errors import UserError
from cxrflow.weights import load_published

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
STEM_STRIDE = 4  # a stem of stride 2 costs twice the time of all that follows
RARE = -2.0  # the log-odds of a finding before anything is learned


def with_local_contrast(images: Tensor) -> Tensor:
    """Return (B, 2, S, S): images (B, 1, S, S) in 0..1 centred, and their difference from the surroundings at scale 1.

    The surroundings are the mean over a square of about 1/11 of the side.
    """
    reach = max(1, images.shape[-1] // 24)
    centred = (images - 0.5) / 0.25
    padded = F.pad(centred, (reach,) * 4, mode="reflect")
    contrast = centred - moving_mean(moving_mean(padded, 2 * reach + 1, dim=3), 2 * reach + 1, dim=2)
    scale = contrast.square().mean(dim=(2, 3), keepdim=True).sqrt() + 1e-3
    return torch.cat([centred, contrast / scale], dim=1)


def moving_mean(images: Tensor, size: int, dim: int) -> Tensor:
    """Return the mean of every `size` neighbours along dimension 2 or 3, which becomes `size - 1` shorter.

    By running sums on a processor, where a pooling layer of one channel takes five times as long; a GPU has no
    deterministic running sum.
    """
    if images.is_cuda:
        return F.avg_pool2d(images, (size, 1) if dim == 2 else (1, size), stride=1)
    sums = F.pad(images.movedim(dim, -1), (1, 0)).cumsum(dim=-1)
    return ((sums[..., size:] - sums[..., :-size]) / size).movedim(-1, dim)


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
    """A residual network that learns from scratch on a processor: a stem, then one block per halving of the side.

    It sees each radiograph twice, as it is and as local contrast: small nodules and thin lines are found in minutes
    that way, and hardly otherwise. Grey images (B, 1, S, S) become (B, (S / stride)^2, channels[-1]) with
    stride = stem_stride * 2^len(channels).
    """

    def __init__(self, channels: Sequence[int], stem_stride: int = 2) -> None:
        super().__init__()
        self.width = channels[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(2, channels[0], 7, stride=stem_stride, padding=3, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(),
        )
        pairs = zip([channels[0], *channels], channels, strict=False)
        self.blocks = nn.Sequential(*(ResidualBlock(before, after) for before, after in pairs))
        self.norm = nn.BatchNorm2d(self.width)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Return features of each place, row by row, of images in 0..1."""
        maps = self.norm(self.blocks(self.stem(with_local_contrast(images))))
        return maps.flatten(2).transpose(1, 2)


class PooledPlaces(nn.Module):
    """A network of places, pooled: the mean and the maximum of each feature over the places of an image."""

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body, self.width = body, 2 * width

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, width) of images (B, 1, S, S) in 0..1; what is in one place moves the maximum alone."""
        return pooled(self.body(images))


def pooled(places: Tensor) -> Tensor:
    """Return (B, 2 d): the mean and the maximum of each feature over places (B, P, d)."""
    return torch.cat([places.mean(dim=1), places.amax(dim=1)], dim=1)


class PooledResNet(PooledPlaces):
    """Our residual network, pooled."""

    body: SmallResNet

    def __init__(self, channels: Sequence[int], stem_stride: int) -> None:
        body = SmallResNet(channels, stem_stride)
        super().__init__(body, body.width)


def rest_frozen_norms(model: nn.Module) -> None:
    """Let batch normalisation that does not learn keep its statistics, whatever mode the model is in."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
            module.eval()


class PooledClassifier(nn.Module):
    """One logit per finding from the features of P places of an image.

    `mean` pools the features first (the usual way). `logsumexp` scores each place and takes a soft maximum, so that a
    finding in one place is enough and the place is told that it was the one (our choice for training from scratch).
    """

    def __init__(self, width: int, findings: int, pooling: str) -> None:
        super().__init__()
        self.linear = nn.Linear(width, findings)
        nn.init.constant_(self.linear.bias, RARE)
        self.pooling = pooling

    def forward(self, places: Tensor) -> Tensor:
        """Return logits (B, findings) of features (B, P, width)."""
        if self.pooling == "mean":
            return self.linear(places.mean(dim=1))
        return torch.logsumexp(self.linear(places).float(), dim=1) - math.log(places.shape[1])

    def evidence(self, places: Tensor) -> Tensor:
        """Return (B, P, 1): the probability of the likeliest finding in each place."""
        return torch.sigmoid(self.linear(places).amax(dim=-1, keepdim=True))


class ImagenetInput(nn.Module):
    """Grey images (B, 1, S, S) in 0..1 as the three normalised channels that published weights expect."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.std = nn.Buffer(torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 3, S, S)."""
        return (images.expand(-1, 3, -1, -1) - self.mean) / self.std


def timm_network(name: str, weights: str | None, key: str, classes: int = 0) -> nn.Module:
    """Return a timm network with `classes` outputs (0: features), from scratch or with the weights that are named.

    `weights` is a file of safetensors (its classifier is left out), `hub` for timm's published ones, or None. `key` is
    where the configuration names the network, as told in errors: `<key>.name`, `<key>.weights`.
    """
    import timm

    if not timm.is_model(name):
        raise UserError(
            f"{key}.name is {name!r}, expected one of the names in the configuration's schema or that of a timm model.",
            "timm.list_models('*resnet*') lists them, for example.",
        )
    try:
        network = timm.create_model(name, pretrained=weights == "hub", num_classes=classes)
    except OSError as error:
        raise UserError(
            f"The published weights of {name} are not on this machine and cannot be fetched.",
            f"Fetch them once where there is a network (they stay in the hub's cache), or set {key}.weights to a "
            "safetensors file.",
        ) from error
    if weights not in (None, "hub"):
        load_published(network, str(weights), f"{key}.weights")
    return network
