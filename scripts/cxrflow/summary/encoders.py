"""The trained image encoders of every system, as modules of one kind: images become one vector each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrflow.errors import UserError
from cxrflow.networks import STEM_STRIDE, ImagenetInput, PooledPlaces, SmallResNet, timm_network
from cxrflow.weights import CLASSIFIERS, part_of_weights


@dataclass(frozen=True)
class Trained:
    """A trained encoder as tables call it, its seed, and the file of its weights, where the workflow made one."""

    encoder: str
    seed: int
    weights: Path | None


class SizedEncoder(nn.Module):
    """An encoder with the side of the images that it sees; others are resampled to it."""

    def __init__(self, network: nn.Module, side: int) -> None:
        super().__init__()
        self.network, self.side = network, side

    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, D) of grey images (B, 1, S, S) in 0..1."""
        if images.shape[-1] != self.side:
            images = F.interpolate(images, (self.side, self.side), mode="bilinear", antialias=True)
        return self.network(images)


class TimmFeatures(nn.Module):
    """A timm network up to its classifier."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.normalise, self.body = ImagenetInput(), body

    def forward(self, images: Tensor) -> Tensor:
        """Return pooled features (B, D) of grey images (B, 1, S, S) in 0..1."""
        return self.body(self.normalise(images))


def build(system: str, trained: Trained, about: Mapping[str, Any]) -> SizedEncoder:
    """Return an encoder in evaluation mode; `about` has the settings of its system that decide what it is."""
    torch.manual_seed(trained.seed)
    network = _BUILDERS[system](trained, about)
    return SizedEncoder(network, about["data"]["image_size"]).eval()


def _neural(trained: Trained, about: Mapping[str, Any]) -> nn.Module:
    """Return the encoder of the vision-language model, its 144 patches pooled."""
    from cxrflow.neural.encoders import build_encoder
    from cxrflow.neural.settings import EncoderSettings

    settings = EncoderSettings.model_validate({**about["encoder"], "weights": None})
    encoder = build_encoder(settings, about["data"]["image_size"])
    _fill(encoder, part_of_weights(_file(trained), "encoder."), trained)
    return PooledPlaces(encoder, encoder.width)


def _prunecxr(trained: Trained, about: Mapping[str, Any]) -> nn.Module:
    """Return a long-tailed classifier without its last layer."""
    from cxrflow.classification.settings import NetworkSettings

    settings = NetworkSettings.model_validate(about["network"])
    state = part_of_weights(_file(trained), "body.")
    if settings.name == "resnet_small":
        body = SmallResNet(settings.widths, STEM_STRIDE)
        _fill(body, state, trained)
        return PooledPlaces(body, body.width)
    network = timm_network(settings.name, None, "prunecxr.network")
    _fill(network, {name: tensor for name, tensor in state.items() if not name.startswith(CLASSIFIERS)}, trained)
    return TimmFeatures(network)


def _igcl(trained: Trained, about: Mapping[str, Any]) -> nn.Module:
    """Return the encoder of an initialisation, as classifiers of igcl start from it."""
    from cxrflow.igcl.initialisation import Source, encoder_of
    from cxrflow.igcl.settings import ImageEncoderSettings
    from cxrflow.igcl.transfer_settings import InitialisationSettings

    named = InitialisationSettings.model_validate(about["initialisations"][trained.encoder])
    settings = ImageEncoderSettings.model_validate(about["image"])
    source = Source(named, trained.weights, about["towers"])
    return encoder_of(source, settings, about["data"]["image_size"], about["features"])


_BUILDERS: dict[str, Callable[[Trained, Mapping[str, Any]], nn.Module]] = {
    "neural": _neural,
    "prunecxr": _prunecxr,
    "igcl": _igcl,
}


def _file(trained: Trained) -> Path:
    assert trained.weights is not None  # a rule that asks for it gives it
    return trained.weights


def _fill(network: nn.Module, state: dict[str, Tensor], trained: Trained) -> None:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"{trained.weights} does not fit the encoder that the configuration describes.",
            "It was made with other settings: delete it and run again.",
        ) from error
