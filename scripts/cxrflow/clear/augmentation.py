"""Changes of CT slices for contrastive learning, of a whole batch at once: window, gamma, blur, and a flip if asked.

The released code changes hue and saturation, takes colour away and inverts bright pixels, as is done with photographs;
what differs between scans and readers is the window and the sharpness.
"""

import math

import torch
from torch import Tensor

from cxrflow.clear.pretraining_settings import AugmentationSettings

DRAWS = 6
"""Random numbers per view: level, width, gamma, whether it is blurred, how much, whether it is flipped."""
REFERENCE_SIDE = 224
"""Side of the images in whose pixels the blur is given."""


def augment_view(images: Tensor, draws: Tensor, blurred: float, how: AugmentationSettings) -> Tensor:
    """Return changed slices (B, 1, S, S) in 0..1 by draws (B, 6) in 0..1; a share of `blurred` is blurred."""
    level, width, gamma, blur, sigma, flip = draws[:, :, None, None, None].unbind(dim=1)
    changed = windowed(images, how.level * (2 * level - 1), (1 + how.width) ** (2 * width - 1))
    changed = changed.clamp_min(1e-6) ** ((1 + how.gamma) ** (2 * gamma - 1))
    low, high = (pixels * images.shape[-1] / REFERENCE_SIDE for pixels in how.blur)
    if blurred > 0 and high > 0:
        sigmas = low + (high - low) * sigma.flatten()
        changed = torch.where(blur < blurred, blurred_by(changed, sigmas, math.ceil(2 * high)), changed)
    return torch.where(flip < 0.5, changed.flip(-1), changed) if how.flip else changed


def windowed(images: Tensor, shift: Tensor, stretch: Tensor) -> Tensor:
    """Return images in 0..1 through a shifted and stretched window, both (B, 1, 1, 1) in shares of the old."""
    return ((images - 0.5 - shift) / stretch + 0.5).clamp(0, 1)


def blurred_by(images: Tensor, sigmas: Tensor, reach: int) -> Tensor:
    """Return images (B, C, H, W) under Gaussians of standard deviations (B,) > 0 in pixels, cut off at `reach`."""
    offsets = torch.arange(-reach, reach + 1, device=images.device)
    kernels = torch.exp(-0.5 * (offsets / sigmas[:, None]) ** 2)
    kernels = (kernels / kernels.sum(dim=1, keepdim=True))[:, :, None, None, None]
    for axis in (2, 3):
        length = images.shape[axis]
        places = (torch.arange(length, device=images.device) + offsets[:, None]).clamp(0, length - 1)
        shifted = [images.index_select(axis, place) for place in places]
        images = torch.stack([kernels[:, tap] * image for tap, image in enumerate(shifted)]).sum(dim=0)
    return images
