"""Two views of each CT slice: random crops, or the crop around a lesion beside the whole slice.

What is random is drawn for a whole batch beforehand, as numbers; views are cut on the device that learns from them. So
several processes, of which each takes a part of a batch, see what one would.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxrflow.clear.augmentation import DRAWS, augment_view
from cxrflow.clear.lesion_table import LesionTable, lesion_table
from cxrflow.clear.pretraining_settings import AugmentationSettings, Sampling
from cxrflow.clear.slices import box_centres, crops, draw_sides
from cxrflow.cohort.store import ImageStore
from cxrflow.radiographs import epoch_generator

WIDEST = 4 / 3
"""Largest ratio of the sides of a random crop."""
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class SliceData:
    """N slices of a store (uint8) by row, the number of each among the key slices (-1: none), and the sides of a pixel
    of the original in pixels of the store (N, 2: x, y)."""

    images: np.ndarray
    rows: NDArray[np.int64]
    key_slices: NDArray[np.int64]
    scales: NDArray[np.float32]
    table: LesionTable

    @classmethod
    def of(cls, samples: pd.DataFrame, store: ImageStore) -> "SliceData":
        """Return the slices of `samples` (columns image_id, height, width, boxes), in order."""
        table, side = lesion_table(samples), store.images.shape[-1]
        scales = (side / samples[["width", "height"]].to_numpy(dtype=np.float64)).astype(np.float32)
        return cls(
            store.images, store.rows(samples["image_id"]), table.key_slices(samples["image_id"].tolist()), scales, table
        )

    def __len__(self) -> int:
        return len(self.rows)

    def boxes(self, places: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """Return one box (n, 4) of each key slice among some places, in pixels of the store."""
        return torch.from_numpy(self.table.draw(self.key_slices[places], rng) * np.tile(self.scales[places], 2))


@dataclass(frozen=True)
class ViewBatches:
    """Training batches; order, crops and changes are functions of (seed, epoch). What does not fill a batch rests."""

    data: SliceData
    size: int
    seed: int
    sampling: Sampling
    least_area: float

    def __len__(self) -> int:
        return max(1, len(self.data) // self.size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield one epoch in a fresh order."""
        rng = np.random.default_rng([self.seed, number])
        generator = epoch_generator(self.seed, number)
        order = rng.permutation(len(self.data))
        for batch in range(len(self)):
            yield self.batch(order[batch * self.size : (batch + 1) * self.size], rng, generator)

    def batch(self, places: NDArray[np.int64], rng: np.random.Generator, generator: torch.Generator) -> Batch:
        """Return slices (B, 1, S, S) uint8, key slices (B,) bool, and the draws of two views of each.

        These are `centres` (B, 2, 2: x, y) and `sides` (B, 2, 2: height, width) in pixels, `changes` (B, 2, 6).
        """
        images = torch.from_numpy(self.data.images[self.data.rows[places]])[:, None]
        lesions = self.data.key_slices[places] >= 0
        side = images.shape[-1]
        both = [random_crops(len(places), side, self.least_area, generator) for _ in range(2)]
        centres, sides = (torch.stack(parts, dim=1) for parts in zip(*both, strict=True))
        if self.sampling == "lesion" and lesions.any():
            marked = torch.from_numpy(lesions)
            centres[marked], sides[marked] = self._around_lesions(places[lesions], side, rng, generator)
        changes = torch.rand(len(places), 2, DRAWS, generator=generator)
        key = torch.from_numpy(lesions)
        return {"images": images, "lesions": key, "centres": centres, "sides": sides, "changes": changes}

    def _around_lesions(
        self, places: NDArray[np.int64], side: int, rng: np.random.Generator, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return centres and sides (n, 2, 2) of the whole slice and of a crop around one of its lesions."""
        lesions = box_centres(self.data.boxes(places, rng))
        cut = draw_sides(len(places), side, side, generator, self.least_area)
        centres = torch.stack([torch.full_like(lesions, side / 2), lesions], dim=1)
        return centres, torch.stack([torch.full_like(cut, float(side)), cut], dim=1)


def random_crops(count: int, side: int, least_area: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return centres (N, 2: x, y) and sides (N, 2: height, width) of crops inside of square slices, in pixels.

    Areas are even between `least_area` and 1, ratios of the sides on a logarithmic scale between 3/4 and 4/3; a side
    that would be longer than the slice is as long as it.
    """
    area, ratio, *place = torch.rand(4, count, generator=generator).unbind()
    root, skew = (least_area + (1 - least_area) * area).sqrt(), WIDEST ** (ratio - 0.5)
    sides = side * torch.stack([root * skew, root / skew], dim=1).clamp_max(1)
    return sides.flip(1) / 2 + torch.stack(place, dim=1) * (side - sides.flip(1)), sides


def two_views(batch: Mapping[str, Tensor], size: int, how: AugmentationSettings) -> tuple[Tensor, Tensor]:
    """Return both views (B, 1, size, size) in 0..1 of a batch of `ViewBatches`; a key slice's first is the whole."""
    images = batch["images"].float()
    first, second = (
        augment_view(
            crops(images, batch["centres"][:, view], batch["sides"][:, view], size) / 255,
            batch["changes"][:, view],
            how.blurred[view],
            how,
        )
        for view in range(2)
    )
    return first, second
