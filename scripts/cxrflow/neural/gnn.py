"""The graph classifier: two graph convolutions over patches and report entities, padded to dense batches.

Dense batches of small graphs are an order of magnitude faster than sparse message passing and give the same numbers
(a test compares them with torch-geometric's GCNConv).
"""

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


class GraphConvolution(nn.Module):
    """Kipf and Welling's layer X' = A X W + b, with A normalised by `normalised`."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width_in, width_out, bias=False)
        self.bias = nn.Parameter(torch.zeros(width_out))
        nn.init.xavier_uniform_(self.linear.weight)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Return (B, n, width_out) of nodes (B, n, width_in) and a normalised adjacency (B, n, n)."""
        return self.gathered(self.linear(nodes), adjacency)

    def gathered(self, products: Tensor, adjacency: Tensor) -> Tensor:
        """Return A (X W) + b of X W, in the precision of X W: a sum of two precisions would double the time."""
        return adjacency @ products + self.bias.to(products.dtype)


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

        `patches` (B, K, d) standardised, `entities` (B, E, e), `adjacency` (B, K + E, K + E) normalised, patches first,
        and `share` (B, K + E): each node's weight in the graph's mean, 0 for padding.
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
