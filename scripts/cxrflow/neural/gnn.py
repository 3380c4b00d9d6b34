"""The graph classifier: two graph convolutions over patches and report entities, padded to batches of one shape.

Matrix products of such batches are an order of magnitude faster than message passing edge by edge and give the same
numbers (a test compares them with torch-geometric's GCNConv).
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrflow.training import Batch


def standardised(patches: Tensor) -> Tensor:
    """Return features (B, K, d) with mean 0 and variance 1 in each patch, whatever encoder they are from."""
    return F.layer_norm(patches, patches.shape[-1:])


def normalised(adjacency: Tensor) -> Tensor:
    """Return D^-1/2 (A + I) D^-1/2 of symmetric adjacencies (B, n, n) of zeros and ones."""
    looped = adjacency + torch.eye(adjacency.shape[-1], device=adjacency.device)
    scale = looped.sum(dim=-1).rsqrt()
    return scale.unsqueeze(-1) * looped * scale.unsqueeze(-2)


def block_diagonal(adjacency: Tensor) -> Tensor:
    """Return adjacencies (B, n, n) as one sparse matrix (B n, B n) in CSR form, with theirs along its diagonal."""
    count, nodes, _ = adjacency.shape
    graph, row, column = adjacency.nonzero(as_tuple=True)
    starts = F.pad((adjacency != 0).sum(dim=-1).flatten().cumsum(dim=0), (1, 0))
    values, size = adjacency[graph, row, column], (count * nodes, count * nodes)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, graph * nodes + column, values, size, check_invariants=False)


class SymmetricProduct(torch.autograd.Function):
    """A X of a sparse symmetric matrix and a dense one: the gradient of X is A times that of the product."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, dense: Tensor) -> Tensor:
        """Return (N, d) of a CSR matrix (N, N) and (N, d)."""
        ctx.matrix = matrix
        return matrix @ dense

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        """Return the gradient of the dense matrix; that of the sparse one is never asked for."""
        return None, ctx.matrix @ gradients[0]


class GraphConvolution(nn.Module):
    """Kipf and Welling's layer X' = A X W + b, with A normalised by `normalised`."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width_in, width_out, bias=False)
        self.bias = nn.Parameter(torch.zeros(width_out))
        nn.init.xavier_uniform_(self.linear.weight)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Return (B, n, width_out) of nodes (B, n, width_in) and normalised adjacencies (B, n, n), or their
        `block_diagonal`."""
        return self.gathered(self.linear(nodes), adjacency)

    def gathered(self, products: Tensor, adjacency: Tensor) -> Tensor:
        """Return A (X W) + b of X W, in the precision of X W: a sum of two precisions would double the time."""
        if adjacency.layout == torch.sparse_csr:
            sums = SymmetricProduct.apply(adjacency, products.flatten(0, 1)).view_as(products)
        else:
            sums = adjacency @ products
        return sums + self.bias.to(products.dtype)


class GraphClassifier(nn.Module):
    """One logit per target of a fused graph: two convolutions, the mean over its nodes, a linear layer.

    Patches and entities have a linear map each into a common width; its bias tells the types apart, and starts large
    for patches, whose features say nothing of their own level (the released code mapped every entity to one random,
    untrained vector).
    """

    def __init__(self, patch_width: int, entity_width: int, hidden: int, targets: int) -> None:
        super().__init__()
        self.patch_map = nn.Linear(patch_width, hidden)
        self.entity_map = nn.Linear(entity_width, hidden)
        nn.init.normal_(self.patch_map.bias)
        self.first, self.second = GraphConvolution(hidden, hidden), GraphConvolution(hidden, hidden)
        self.head = nn.Linear(hidden, targets)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B, targets).

        `patches` (B, K, d) standardised, `entities` (B, E, e), `adjacency` (B, K + E, K + E) normalised, patches first
        (or its `block_diagonal`), and `share` (B, K + E): each node's weight in the graph's mean, 0 for padding.
        """
        adjacency = batch["adjacency"]
        nodes = torch.relu(self.first.gathered(self._products(batch), adjacency))
        nodes = torch.relu(self.second(nodes, adjacency))
        return self.head((batch["share"].unsqueeze(1) @ nodes).squeeze(1))

    def _products(self, batch: Batch) -> Tensor:
        """Return every node's map times the first convolution's W, (B, K + E, hidden).

        The two matrices are multiplied with each other before they meet the nodes, which are many.
        """
        weight = self.first.linear.weight
        parts = [(self.patch_map, batch["patches"]), (self.entity_map, batch["entities"])]
        found = [F.linear(part, weight @ one.weight, weight @ one.bias) for one, part in parts if part.shape[1]]
        return found[0] if len(found) == 1 else torch.cat(found, dim=1)
