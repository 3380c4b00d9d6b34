"""The demonstration's image towers, known to timm by name: vision transformers with a residual network for a stem.

The stem is the backbone (cxrflow/backbone): a vision transformer without one learns nothing within minutes.
"""

from typing import Any

from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from cxrflow.networks import STEM_STRIDE, SmallResNet

PATCH = 16


class StemEmbed(nn.Module):
    """Patch embedding by a residual network of stride 16: grey images (B, 1, S, S) in 0..1 become (B, M, width)."""

    def __init__(self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_: Any) -> None:
        super().__init__()
        self.img_size, self.patch_size = (img_size, img_size), (patch_size, patch_size)
        self.grid_size = (img_size // patch_size, img_size // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        self.body = SmallResNet((embed_dim // 2, embed_dim), STEM_STRIDE)

    def forward(self, images: Tensor) -> Tensor:
        """Return one state per patch, row by row."""
        return self.body(images)

    def feat_ratio(self, as_scalar: bool = True) -> int | tuple[int, int]:
        """Return the side of a patch in pixels."""
        return self.patch_size[0] if as_scalar else self.patch_size


@register_model
def vit_stem_small_192(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """Return the tower for 192 px: 144 patches, 3 blocks of width 96."""
    return _transformer(img_size=192, embed_dim=96, depth=3, num_heads=3, **kwargs)


@register_model
def vit_stem_tiny_64(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """Return the tower for 64 px: 16 patches, 2 blocks of width 32."""
    return _transformer(img_size=64, embed_dim=32, depth=2, num_heads=2, **kwargs)


def _transformer(
    pretrained_cfg: Any = None, pretrained_cfg_overlay: Any = None, cache_dir: Any = None, **kwargs: Any
) -> VisionTransformer:
    """Return a transformer on the stem; there are no published weights, so what timm says of them is left out."""
    network: Any = VisionTransformer(
        patch_size=PATCH, in_chans=1, mlp_ratio=2.0, init_values=0.1, embed_layer=StemEmbed, **kwargs
    )
    network.default_cfg = {"input_size": (1, *network.patch_embed.img_size)}  # open_clip looks into it
    return network
