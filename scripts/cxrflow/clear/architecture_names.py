"""The names of CLEAR's encoders, and the sides of images that each can see."""

from typing import Literal

Architecture = Literal[
    "vit_small", "vit_base", "vit_conv_small", "vit_conv_base", "swin", "swin_base", "mambaout", "mambaout_base",
    "vmamba", "vit_tiny", "conv_small",
]  # fmt: skip
"""MoCo v3's vision transformers, Swin, MambaOut and VMamba; `vit_tiny` and `conv_small` are ours, for a processor."""
STRIDES: dict[Architecture, int] = {
    "vit_small": 16,
    "vit_base": 16,
    "vit_conv_small": 16,
    "vit_conv_base": 16,
    "swin": 32,
    "swin_base": 32,
    "mambaout": 1,
    "mambaout_base": 1,
    "vmamba": 32,
    "vit_tiny": 16,
    "conv_small": 1,
}
"""What the side of the images must be divisible by."""
