"""Encoders of CT slices: pretrained here, with random weights, any timm network, or an image tower of open_clip."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrflow.clear.architecture_names import Architecture
from cxrflow.clear.architectures import SliceEncoder, build
from cxrflow.clear.downstream_settings import EncoderSettings
from cxrflow.clear.encoder_files import digest, read_encoder
from cxrflow.clear.published import read_published
from cxrflow.networks import IMAGENET_MEAN, IMAGENET_STD, timm_network

KEY = "clear.downstream.encoders"


class FeatureEncoder(nn.Module):
    """A network with the slices it expects: of its side and channels, normalised as its weights are used to."""

    def __init__(
        self, network: nn.Module, width: int, side: int, mean: Sequence[float] = (0.0,), std: Sequence[float] = (1.0,)
    ) -> None:
        super().__init__()
        self.network, self.width, self.side = network, width, side
        self.mean = nn.Buffer(torch.tensor(list(mean)).view(1, -1, 1, 1), persistent=False)
        self.std = nn.Buffer(torch.tensor(list(std)).view(1, -1, 1, 1), persistent=False)

    def forward(self, slices: Tensor) -> Tensor:
        """Return features (B, width) of grey slices (B, 1, S, S) in 0..1."""
        if slices.shape[-1] != self.side:
            slices = F.interpolate(slices, (self.side, self.side), mode="bilinear", antialias=True)
        return self.network((slices.expand(-1, self.mean.shape[1], -1, -1) - self.mean) / self.std)

    def sha256(self) -> str:
        """Return a digest of the weights by name, and of what is done to slices before."""
        looks = {"side": self.side, "mean": self.mean.flatten().tolist(), "std": self.std.flatten().tolist()}
        return hashlib.sha256(json.dumps([looks, digest(self.state_dict())]).encode()).hexdigest()


@dataclass(frozen=True)
class EncoderChoice:
    """One encoder by name and seed; this system's architecture and the side of the slices that it sees, and the weights
    of its pretraining, for the source `pretrained`."""

    name: str
    seed: int
    settings: EncoderSettings
    architecture: Architecture
    image_size: int
    pretrained: Path | None = None

    def build(self) -> FeatureEncoder:
        """Return the encoder in evaluation mode; random weights are those of the seed."""
        torch.manual_seed(self.seed)
        source, named = self.settings.source, str(self.settings.name)
        if source == "timm":
            encoder = _timm(named, self.settings.weights, f"{KEY}.{self.name}")
        elif source == "open_clip":
            encoder = _open_clip(named, f"{KEY}.{self.name}.name")
        else:
            own = self._own()
            encoder = FeatureEncoder(own, own.width, self.image_size)
        return encoder.eval()

    def _own(self) -> SliceEncoder:
        if self.settings.source == "scratch":
            return build(self.architecture, self.image_size)
        file = self.pretrained if self.settings.source == "pretrained" else Path(str(self.settings.weights))
        assert file is not None  # a rule that asks for a pretrained encoder gives its weights
        if file.suffix == ".safetensors":
            return read_encoder(file)
        return read_published(file, self.architecture, self.image_size)


def _timm(name: str, weights: str | None, key: str) -> FeatureEncoder:
    network = timm_network(name, weights, key)
    expected: dict[str, Any] = network.pretrained_cfg  # type: ignore[assignment]
    width, side = int(network.num_features), int(expected["input_size"][-1])  # type: ignore[arg-type]
    looks = expected.get("mean", IMAGENET_MEAN), expected.get("std", IMAGENET_STD)
    return FeatureEncoder(network, width, side, *looks)


def _open_clip(name: str, key: str) -> FeatureEncoder:
    """Return the image tower with its projection: what `encode_image` computes (512 wide for BiomedCLIP)."""
    from cxrflow.towers import read_clip

    tower = read_clip(name, key=key).visual
    looks = tower.preprocess_cfg
    size = looks["size"]
    side = int(size[-1] if isinstance(size, Sequence) else size)
    with torch.no_grad():
        width = tower.eval()(torch.zeros(1, len(looks["mean"]), side, side)).shape[1]
    return FeatureEncoder(tower, int(width), side, looks["mean"], looks["std"])
