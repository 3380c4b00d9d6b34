"""The graph classifier: two graph convolutions over patches and report entities, padded to dense batches.

Dense batches of small graphs are an order of magnitude faster than sparse message passing and give the same numbers
(a test compares them with torch-geometric's GCNConv).
"""

import torch
from torch import Tensor, nn

from cxrflow.training import Batch

PATCH, ENTITY = 0, 1


class GraphConvolution(nn.Module):
    """Kipf and Welling's layer X' = A X W + b, with A normalised by `normalised`."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width_in, width_out, bias=False)
        self.bias = nn.Parameter(torch.zeros(width_out))
        nn.init.xavier_uniform_(self.linear.weight)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Return (B, n, width_out) of nodes (B, n, width_in) and a normalised adjacency (B, n, n)."""
        return adjacency @ self.linear(nodes) + self.bias


def normalised(adjacency: Tensor) -> Tensor:
    """Return D^-1/2 (A + I) D^-1/2 of symmetric adjacencies (B, n, n) of zeros and ones."""
    looped = adjacency + torch.eye(adjacency.shape[-1], device=adjacency.device)
    scale = looped.sum(dim=-1).rsqrt()
    return scale.unsqueeze(-1) * looped * scale.unsqueeze(-2)


class GraphClassifier(nn.Module):
    """One logit per target of a fused graph.

    Patches and entities have a linear map and a type vector each (the released code mapped every entity to one
    random, untrained vector).
    """

    def __init__(self, patch_width: int, entity_width: int, hidden: int, targets: int) -> None:
        super().__init__()
        self.patch_norm = nn.LayerNorm(patch_width)
        self.patch_map = nn.Linear(patch_width, hidden)
        self.entity_map = nn.Linear(entity_width, hidden)
        self.types = nn.Embedding(2, hidden)
        self.convolutions = nn.ModuleList([GraphConvolution(hidden, hidden) for _ in range(2)])
        self.head = nn.Linear(hidden, targets)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B, targets).

        `patches` (B, K, d), `entities` (B, E, e), `adjacency` (B, K + E, K + E) of zeros and ones, patches first, and
        `real` (B, K + E), which tells nodes from padding.
        """
        patches = self.patch_map(self.patch_norm(batch["patches"])) + self.types.weight[PATCH]
        entities = self.entity_map(batch["entities"]) + self.types.weight[ENTITY]
        nodes = torch.cat([patches, entities], dim=1)
        adjacency = normalised(batch["adjacency"])
        for convolution in self.convolutions:
            nodes = torch.relu(convolution(nodes, adjacency))
        return self.head(mean_of_real(nodes, batch["real"]))


def mean_of_real(nodes: Tensor, real: Tensor) -> Tensor:
    """Return the mean (B, width) over the real nodes of each graph; 0 for a graph without nodes."""
    weights = real.to(nodes.dtype).unsqueeze(-1)
    return (nodes * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
