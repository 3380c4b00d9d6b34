"""The long-tailed classifiers: a small residual network that learns in minutes, or any timm network (ResNet-50)."""

from pathlib import Path

import torch
from torch import Tensor, nn

from cxrflow.classification.settings import NetworkSettings
from cxrflow.errors import UserError
from cxrflow.networks import STEM_STRIDE, ImagenetInput, PooledClassifier, SmallResNet, timm_network
from cxrflow.weights import load_published, load_weights

KEY = "network"


class SmallClassifier(nn.Module):
    """Our residual network with one soft maximum over the places of an image per class."""

    def __init__(self, classes: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.body = SmallResNet(widths, STEM_STRIDE)
        self.classifier = PooledClassifier(self.body.width, classes, "logsumexp")

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C) of images (B, 1, S, S) in 0..1."""
        return self.classifier(self.body(images))


class TimmClassifier(nn.Module):
    """A timm network with one output per class; the paper's is resnet50 with weights `hub`."""

    def __init__(self, classes: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.normalise = ImagenetInput()
        self.body = timm_network(settings.name, settings.weights, KEY, classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C) of grey images (B, 1, S, S) in 0..1."""
        return self.body(self.normalise(images).contiguous(memory_format=torch.channels_last))


def build_classifier(settings: NetworkSettings, classes: int) -> nn.Module:
    """Return the classifier that the configuration names."""
    if settings.name == "resnet_small":
        network = SmallClassifier(classes, settings.widths)
        if settings.weights is not None:
            load_published(network, settings.weights, f"{KEY}.weights")
        return network
    return TimmClassifier(classes, settings)


def load_classifier(settings: NetworkSettings, classes: int, weights: Path) -> nn.Module:
    """Return the classifier with the weights that its training left."""
    network = build_classifier(settings.model_copy(update={"weights": None}), classes)
    try:
        load_weights(network, weights)
    except RuntimeError as error:
        raise UserError(
            f"{weights} does not fit {settings.name} with {classes} classes.",
            "It was trained with other settings: delete it and run again.",
        ) from error
    return network.eval()


class FrozenNorm(nn.Module):
    """Wraps a network whose batch normalisation never goes back to training once an epoch is over.

    So does the released program, whose training never switches to train mode after the first validation: from the
    second epoch on the running statistics stay as they are. Whether an epoch is over is read from the statistics'
    own count of batches, so a resumed run behaves like an undisturbed one.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        for norm in self._norms():
            norm.reset_running_stats()

    def forward(self, images: Tensor) -> Tensor:
        """Return what the network returns."""
        return self.network(images)

    def train(self, mode: bool = True) -> "FrozenNorm":
        """Switch to training only before the first batch; later on nothing but evaluation is left."""
        return super().train(mode and not self._trained())

    def _trained(self) -> bool:
        return any(int(norm.num_batches_tracked) > 0 for norm in self._norms() if norm.num_batches_tracked is not None)

    def _norms(self) -> list[nn.BatchNorm2d]:
        return [module for module in self.network.modules() if isinstance(module, nn.BatchNorm2d)]
