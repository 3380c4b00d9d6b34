"""What pruning saves on disk, and the magnitudes that it goes by."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.classification.classifier import load_classifier
from cxrflow.classification.settings import NetworkSettings
from cxrflow.prunecxr.pruning import DenseWeights, pruned_count
from cxrflow.prunecxr.settings import Method

BINS = 50
WORD = 4  # bytes of a float32, and of an index


def storage_table(
    network: NetworkSettings, classes: int, weights: Path, sparsities: Sequence[float], methods: Sequence[Method]
) -> pd.DataFrame:
    """Return bytes by method and sparsity: columns method, sparsity, quantity, value.

    `dense_bytes` stay the same however many weights are zero, for masking frees nothing. `bitmap_bytes` keep one bit
    per weight and the float32 values that are left; `index_bytes` a 4-byte place with each of them. Biases and batch
    normalisation are in all three. `zeros` of `weights` are the pruned ones.
    """
    model = load_classifier(network, classes, weights)
    dense = DenseWeights.of(model)
    whole = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    rest = whole - WORD * dense.size
    rows = []
    for method in methods:
        for share in sparsities:
            sizes = dense.sizes if method == "layerwise" else [dense.size]
            zeros = sum(pruned_count(share, size) for size in sizes)
            left = dense.size - zeros
            bitmap, index = -(-dense.size // 8) + WORD * left, 2 * WORD * left
            values = {"weights": dense.size, "zeros": zeros, "dense_bytes": whole}
            values |= {"bitmap_bytes": rest + bitmap, "index_bytes": rest + index}
            rows += [{"method": method, "sparsity": share, "quantity": name, "value": v} for name, v in values.items()]
    return pd.DataFrame(rows)


def magnitude_table(network: NetworkSettings, classes: int, weights: Path) -> pd.DataFrame:
    """Return the histogram of the magnitudes of all weights that are pruned: low, high, layer_kind, count.

    All of them: the released figure leaves out the convolutions on shortcuts and counts a bias.
    """
    model = load_classifier(network, classes, weights)
    dense = DenseWeights.of(model)
    kinds = {name: "linear" if tensor.ndim == 2 else "convolution" for name, tensor in dense.weights.items()}
    magnitudes = {
        kind: np.concatenate([np.abs(dense.values[name]) for name in kinds if kinds[name] == kind])
        for kind in sorted(set(kinds.values()))
    }
    edges = np.linspace(0, max(float(values.max()) for values in magnitudes.values()), BINS + 1)
    return pd.concat([_histogram(kind, values, edges) for kind, values in magnitudes.items()], ignore_index=True)


def _histogram(kind: str, values: NDArray[np.float32], edges: NDArray[np.float64]) -> pd.DataFrame:
    counts, _ = np.histogram(values, edges)
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "layer_kind": kind, "count": counts})
