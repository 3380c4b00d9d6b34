"""Layers of the graph encoders, on the nodes of a whole batch (M, d), graph after graph."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrflow.training import Batch


class RelationalConvolution(nn.Module):
    """x_i' = W x_i + b + sum over relations r of W_r (mean of x_j over the sources j of r that lead to i).

    Schlichtkrull et al. 2018 with means. Sources are averaged before they are multiplied, and only where there are any:
    most nodes have no edge of most relations.
    """

    def __init__(self, width_in: int, width_out: int, relations: int) -> None:
        super().__init__()
        self.itself = nn.Linear(width_in, width_out)
        self.weight = nn.Parameter(torch.empty(relations, width_in, width_out))
        nn.init.xavier_uniform_(self.itself.weight)
        nn.init.zeros_(self.itself.bias)
        for weight in self.weight:
            nn.init.xavier_uniform_(weight)

    def forward(self, nodes: Tensor, batch: Batch) -> Tensor:
        """Return (M, width_out)."""
        found = self.itself(nodes)
        for relation, weight in enumerate(self.weight):
            targets = batch[f"targets_{relation}"]
            if len(targets):
                sources, starts = batch[f"sources_{relation}"], batch[f"starts_{relation}"]
                means = F.embedding_bag(sources, nodes, starts, mode="mean")
                found = found.index_add(0, targets, (means @ weight).to(found.dtype))
        return found


class PlainConvolution(nn.Module):
    """A convolution of torch-geometric: `gcn`, `sage`, or `gat`, which alone reads the types of relations."""

    def __init__(self, name: str, width_in: int, width_out: int, relations: int, heads: int) -> None:
        from torch_geometric import nn as geometric  # four seconds, for these ablations alone

        super().__init__()
        self.relations = relations if name == "gat" else 0
        if name == "gat":
            self.body = geometric.GATConv(width_in, width_out // heads, heads, edge_dim=relations)
        else:
            self.body = {"gcn": geometric.GCNConv, "sage": geometric.SAGEConv}[name](width_in, width_out)

    def forward(self, nodes: Tensor, batch: Batch) -> Tensor:
        """Return (M, width_out)."""
        if self.relations:
            types = F.one_hot(batch["relations"], self.relations).to(nodes.dtype)
            return self.body(nodes, batch["edges"], edge_attr=types)
        return self.body(nodes, batch["edges"])


class NodeTransformer(nn.Module):
    """A transformer layer, normalised after each sum, in which the nodes of a graph look at each other.

    Only the attention itself is padded; padding is masked. (In the released code it was not, and a graph's vector
    depended on the others in the batch.)
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.projection, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, nodes: Tensor, batch: Batch) -> Tensor:
        """Return (M, width)."""
        attended = self.output(self._attention(self.projection(nodes), batch))
        nodes = self.norms[0](nodes + self.dropout(attended))
        changed = self.outer(self.dropout(torch.relu(self.inner(nodes))))
        return self.norms[1](nodes + self.dropout(changed))

    def _attention(self, projected: Tensor, batch: Batch) -> Tensor:
        """Return (M, width) of queries, keys and values (M, 3 width)."""
        mask, place = batch["mask"], batch["place"]
        query, key, value = padded(projected, batch).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        # A graph without nodes looks at its first place: not every device's kernel allows for nothing to look at.
        seen = mask | (torch.arange(mask.shape[1], device=mask.device) == 0)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None, None, :])
        return attended.transpose(1, 2).flatten(2).flatten(0, 1)[place]


class MeanPooling(nn.Module):
    """The mean over the nodes of each graph."""

    def forward(self, nodes: Tensor, batch: Batch) -> Tensor:
        """Return (B, width); zeros for graphs without nodes."""
        share = batch["mask"].sum(dim=1).clamp(min=1).reciprocal().to(nodes.dtype)
        return _sums(nodes * share[batch["graph"], None], batch)


class AttentionPooling(nn.Module):
    """The mean over the nodes of each graph, weighted by the softmax of a learned score w.x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, nodes: Tensor, batch: Batch) -> Tensor:
        """Return (B, width); zeros for graphs without nodes."""
        scores = padded(self.score(nodes).float(), batch).squeeze(-1)
        weights = scores.masked_fill(~batch["mask"], torch.finfo(scores.dtype).min).softmax(dim=1)
        return _sums(nodes * weights.flatten()[batch["place"], None].to(nodes.dtype), batch)


def padded(nodes: Tensor, batch: Batch) -> Tensor:
    """Return (B, n, d) of nodes (M, d), zeros where a graph has no node."""
    graphs, longest = batch["mask"].shape
    places = nodes.new_zeros(graphs * longest, nodes.shape[1])
    return places.index_copy(0, batch["place"], nodes).view(graphs, longest, -1)


def _sums(nodes: Tensor, batch: Batch) -> Tensor:
    return nodes.new_zeros(len(batch["mask"]), nodes.shape[1]).index_add(0, batch["graph"], nodes)
