"""Which patches of an image count: a learned logit per patch, and a mask that gradients pass through."""

import torch
from torch import Tensor, nn

from cxrflow.patchib.settings import MaskSettings

_NEVER_LOG_ZERO = 1e-5
_CLOSE = 1e-5


class Scorer(nn.Module):
    """One logit per patch from its state, and the share of patches to keep, which may change during training.

    The share and the temperature are part of the model's state: a model that was saved half-way knows them.
    """

    def __init__(self, width: int, settings: MaskSettings) -> None:
        super().__init__()
        self.settings = settings
        last = nn.Linear(width // 4, 1)
        nn.init.zeros_(last.bias)
        self.body = nn.Sequential(nn.Linear(width, width // 4), nn.ReLU(), last)
        self.keep = nn.Buffer(torch.tensor(settings.keep_start or settings.keep))
        self.temperature = nn.Buffer(torch.tensor(settings.temperature[0]))

    def anneal(self, progress: Tensor) -> None:
        """Set share and temperature to what they are at `progress`, 0 to 1, through the training."""
        done = (progress / self.settings.anneal).clamp(max=1) if self.settings.anneal else torch.ones_like(progress)
        first, last = self.settings.temperature
        start = self.settings.keep_start or self.settings.keep
        self.keep.copy_(start + done * (self.settings.keep - start))
        self.temperature.copy_(first + done * (last - first))

    def is_annealed(self) -> bool:
        """Return whether share and temperature have come to their ends."""
        share, temperature = self.settings.keep, self.settings.temperature[1]
        return abs(float(self.keep) - share) < _CLOSE and abs(float(self.temperature) - temperature) < _CLOSE

    def forward(self, patches: Tensor) -> Tensor:
        """Return logits (B, M) of patch states (B, M, d)."""
        return self.body(patches).squeeze(-1)

    def mask(self, logits: Tensor) -> Tensor:
        """Return the mask (B, M) of 0 and 1 with the gradient that the kind of mask has."""
        if self.settings.kind == "threshold":
            return self._threshold(logits)
        return straight_through(top_mask(logits, kept_count(logits.shape[1], float(self.keep))), logits)

    def mask_at(self, logits: Tensor, share: float) -> Tensor:
        """Return the mask (B, M) that keeps a given share of the patches of every image."""
        return top_mask(logits, kept_count(logits.shape[1], share))

    def _threshold(self, logits: Tensor) -> Tensor:
        if not (self.settings.gumbel and self.training):
            return straight_through(threshold_mask(logits, self.settings.least), logits)
        uniform = torch.rand_like(logits).clamp(_NEVER_LOG_ZERO, 1 - _NEVER_LOG_ZERO)
        soft = torch.sigmoid((logits - torch.log(-torch.log(uniform))) / self.temperature)
        return straight_through(threshold_mask(soft - 0.5, self.settings.least), soft)


def straight_through(mask: Tensor, soft: Tensor) -> Tensor:
    """Return the mask, whose gradient is passed on to `soft` as if it were `soft` itself (Bengio et al. 2013)."""
    return mask + (soft - soft.detach())


def threshold_mask(logits: Tensor, least: int) -> Tensor:
    """Return 1 where a logit is above 0, and for the `least` highest ones of each image in any case."""
    return torch.maximum((logits > 0).to(logits.dtype), top_mask(logits, least))


def top_mask(logits: Tensor, count: int) -> Tensor:
    """Return 1 for the `count` highest logits of each image; of equal ones the first patch wins."""
    return torch.zeros_like(logits).scatter(1, top_patches(logits, count), 1.0)


def top_patches(logits: Tensor, count: int) -> Tensor:
    """Return the places (B, count) of the highest logits, ascending."""
    order = logits.detach().argsort(dim=1, descending=True, stable=True)
    return order[:, :count].sort(dim=1).values


def kept_count(patches: int, share: float) -> int:
    """Return how many patches a share is: rounded down, but one at least."""
    return max(1, int(patches * share + 1e-6))


def masked_mean(patches: Tensor, mask: Tensor) -> Tensor:
    """Return (B, d): the mean of the patches (B, M, d) that the mask (B, M) keeps."""
    return torch.einsum("bmd,bm->bd", patches, mask) / (mask.sum(dim=1, keepdim=True) + 1e-6)
