"""The encoders of CT slices by the names that CLEAR gives them, and two small ones for a processor."""

from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn

from cxrflow.clear.architecture_names import STRIDES, Architecture
from cxrflow.clear.vmamba import VMamba
from cxrflow.networks import ImagenetInput, PooledResNet

SMALL_WIDTHS, SMALL_STEM_STRIDE = (32, 64, 128), 4


class SliceEncoder(nn.Module):
    """A network that turns CT slices into one vector each, with the normalisation that it expects."""

    def __init__(self, network: nn.Module, width: int, normalise: nn.Module) -> None:
        super().__init__()
        self.network, self.width, self.normalise = network, width, normalise

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, width) of slices (B, 1, S, S) in 0..1."""
        return self.network(self.normalise(images))


def build(name: Architecture, image_size: int) -> SliceEncoder:
    """Return an encoder with random weights; its `width` is read from the network.

    `image_size` is the side of the slices; STRIDES says what it must be divisible by.
    """
    if image_size % STRIDES[name]:
        raise ValueError(f"{name} sees images whose side is divisible by {STRIDES[name]}, not of {image_size} px")
    network = _BUILDERS[name](image_size)
    width = cast(int, getattr(network, "width", None) or network.num_features)
    return SliceEncoder(network, width, nn.Identity() if isinstance(network, PooledResNet) else ImagenetInput())


def _vit(image_size: int, width: int, depth: int, **options: Any) -> nn.Module:
    from cxrflow.clear.vit import vision_transformer  # with timm, whose import costs seconds

    return vision_transformer(image_size, width, depth, **options)


def _timm(name: str, **options: Any) -> nn.Module:
    import timm

    return timm.create_model(name, num_classes=0, **options)


def _mambaout(name: str) -> nn.Module:
    """Return MambaOut without the wider layer that timm has between its last norm and the classifier."""
    network = _timm(name)
    network.head.pre_logits = nn.Identity()  # type: ignore[union-attr]
    return network


_BUILDERS: dict[Architecture, Callable[[int], nn.Module]] = {
    "vit_small": lambda size: _vit(size, 384, 12),
    "vit_base": lambda size: _vit(size, 768, 12),
    "vit_conv_small": lambda size: _vit(size, 384, 11, conv=True),
    "vit_conv_base": lambda size: _vit(size, 768, 11, conv=True),
    "swin": lambda size: _timm("swin_tiny_patch4_window7_224", img_size=size),
    "swin_base": lambda size: _timm("swin_base_patch4_window7_224", img_size=size),
    "mambaout": lambda size: _mambaout("mambaout_tiny"),
    "mambaout_base": lambda size: _mambaout("mambaout_base"),
    "vmamba": lambda size: VMamba(),
    "vit_tiny": lambda size: _vit(size, 96, 4, heads=4),
    "conv_small": lambda size: PooledResNet(SMALL_WIDTHS, SMALL_STEM_STRIDE),
}
