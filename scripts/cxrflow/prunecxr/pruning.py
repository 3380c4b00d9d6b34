"""Which weights go: exactly round(sparsity x n), chosen as torch.nn.utils.prune chooses, for all sparsities at once.

Pruning is unstructured, in one shot, over the weights of convolutions and linear layers; biases and batch normalisation
stay (PruneCXR, section 2). The magnitudes are sorted once for the thresholds of all sparsities.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cxrflow.prunecxr.settings import Method

Magnitudes = NDArray[np.float32]
Mask = NDArray[np.bool_]
"""(n,) True where a weight is set to zero."""


def prunable_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights that are pruned, by name, in module order (54 tensors of ResNet-50)."""
    kinds = (nn.Conv2d, nn.Linear)
    return {f"{name}.weight": layer.weight for name, layer in network.named_modules() if isinstance(layer, kinds)}


def pruned_count(sparsity: float, size: int) -> int:
    """Return how many of `size` weights go: round half to even, as torch rounds."""
    return round(sparsity * size)


def smallest(magnitudes: Magnitudes, counts: Sequence[int]) -> Iterator[Mask]:
    """Yield, for each of the ascending `counts`, the mask of exactly so many smallest magnitudes.

    Where several magnitudes equal the threshold and only some of them may go, torch's own selection decides: its order
    among equal magnitudes is no documented rule, so it can be asked but not predicted.
    """
    ordered = np.sort(magnitudes)  # with vector instructions: a quarter of the time of partitioning at all thresholds
    for count in counts:
        if not count:
            yield np.zeros(len(magnitudes), dtype=bool)
            continue
        threshold = ordered[count - 1]
        mask = magnitudes <= threshold
        yield mask if np.count_nonzero(mask) == count else _torch_choice(magnitudes, count)


def _torch_choice(magnitudes: Magnitudes, count: int) -> Mask:
    # Whether the selected ones are sorted afterwards changes nothing about which they are, and takes half the time.
    chosen = torch.topk(torch.from_numpy(magnitudes), count, largest=False, sorted=False).indices.numpy()
    mask = np.zeros(len(magnitudes), dtype=bool)
    mask[chosen] = True
    return mask


@dataclass(frozen=True)
class DenseWeights:
    """The trained weights of a network that is pruned in place, again and again."""

    weights: dict[str, Tensor]
    """The network's own parameters."""
    values: dict[str, NDArray[np.float32]]
    """A copy of each, flat, in logical order whatever its memory format."""
    room: NDArray[np.float32]
    """Where a layer's weights are put together: to ask for new memory each time would take most of the time."""

    @classmethod
    def of(cls, network: nn.Module) -> "DenseWeights":
        """Copy the weights of a trained network."""
        weights = prunable_weights(network)
        values = {name: weight.detach().cpu().contiguous().flatten().numpy().copy() for name, weight in weights.items()}
        return cls(weights, values, np.empty(max(map(len, values.values()), default=0), dtype=np.float32))

    @property
    def sizes(self) -> list[int]:
        """Number of weights of each layer."""
        return [len(value) for value in self.values.values()]

    @property
    def size(self) -> int:
        """Number of all weights that can be pruned."""
        return sum(self.sizes)

    def masks(self, method: Method, sparsities: Sequence[float], seed: int) -> Iterator[Mask]:
        """Yield the mask over all layers (n,) for each of the ascending sparsities."""
        if method == "layerwise":
            layers = [
                smallest(np.abs(value), [pruned_count(share, len(value)) for share in sparsities])
                for value in self.values.values()
            ]
            yield from (np.concatenate(masks) for masks in zip(*layers, strict=True))
            return
        counts = [pruned_count(share, self.size) for share in sparsities]
        if method == "l1":
            yield from smallest(np.abs(np.concatenate(list(self.values.values()))), counts)
        else:
            yield from _first_of(np.random.default_rng(seed).permutation(self.size), counts)

    @torch.no_grad()
    def prune(self, mask: Mask) -> None:
        """Set the network's weights to the trained ones, and those of the mask to zero."""
        ends = np.cumsum(self.sizes)[:-1]
        for (name, weight), gone in zip(self.weights.items(), np.split(mask, ends), strict=True):
            kept = self.room[: len(gone)]
            np.multiply(self.values[name], ~gone, out=kept)  # a fifth of the time of setting what is gone to zero
            weight.copy_(torch.from_numpy(kept).view(weight.shape))


def _first_of(order: NDArray[np.int64], counts: Sequence[int]) -> Iterator[Mask]:
    """Yield nested masks of the first weights of a random order."""
    for count in counts:
        mask = np.zeros(len(order), dtype=bool)
        mask[order[:count]] = True
        yield mask
