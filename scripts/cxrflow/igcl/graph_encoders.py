"""Encoders of report graphs: DRACON, and what is left of it without attention or without types of relations."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cxrflow.igcl.graph_layers import (
    AttentionPooling,
    MeanPooling,
    NodeTransformer,
    PlainConvolution,
    RelationalConvolution,
)
from cxrflow.igcl.graph_settings import GraphEncoderSettings
from cxrflow.training import Batch

Convolution = Callable[[int, int], nn.Module]


class GraphEncoder(nn.Module):
    """Convolutions with ReLU, transformer layers (`dracon`), pooling, linear layers with ReLU.

    A graph's vector does not depend on the other graphs of its batch, nor on `batch`'s padding. One without nodes has
    the vector that the linear layers make of zeros.
    """

    def __init__(self, width_in: int, relations: int, settings: GraphEncoderSettings) -> None:
        super().__init__()
        width, convolution = settings.width, _convolution(relations, settings)
        widths_in = [width_in, *[width] * (settings.convolutions - 1)]
        self.width = width
        self.convolutions = nn.ModuleList(convolution(before, width) for before in widths_in)
        layers = settings.transformer_layers if settings.architecture == "dracon" else 0
        self.attention = nn.ModuleList(NodeTransformer(width, settings.heads, settings.dropout) for _ in range(layers))
        self.pooling = MeanPooling() if settings.pooling == "mean" else AttentionPooling(width)
        self.fc_layers = nn.ModuleList(nn.Linear(width, width) for _ in range(settings.fc_layers))

    def forward(self, batch: Batch) -> Tensor:
        """Return (B, width) of a batch of graphs as `GraphReader` makes it."""
        nodes = batch["nodes"]
        for convolution in self.convolutions:
            nodes = torch.relu(convolution(nodes, batch))
        for layer in self.attention:
            nodes = layer(nodes, batch)
        vectors = self.pooling(nodes, batch)
        for layer in self.fc_layers:
            vectors = torch.relu(layer(vectors))
        return vectors


def _convolution(relations: int, settings: GraphEncoderSettings) -> Convolution:
    """Return a function of two widths that makes the convolution of the settings."""
    name = settings.architecture
    if name in ("dracon", "rgcn"):
        return lambda before, after: RelationalConvolution(before, after, relations)
    return lambda before, after: PlainConvolution(name, before, after, relations, settings.heads)
