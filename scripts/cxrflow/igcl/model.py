"""Both encoders with the space in which their vectors meet (Khanna et al. 2024), and the loss of a batch of pairs."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrflow.contrastive import contrastive_loss
from cxrflow.igcl.graph_encoders import GraphEncoder
from cxrflow.igcl.image_encoders import ImageEncoder
from cxrflow.training import Batch

FIRST_SCALE, HIGHEST_SCALE = math.log(1 / 0.07), math.log(100)
"""Logarithm of the factor of similarities. (In the released code it had no limit.)"""


class ImageGraphModel(nn.Module):
    """An image encoder and a graph encoder, each with a linear map into the common space, and a learned temperature."""

    def __init__(self, image: ImageEncoder, graph: GraphEncoder, width: int) -> None:
        super().__init__()
        self.image, self.graph = image, graph
        self.image_projection = projection(image.width, width)
        self.graph_projection = projection(graph.width, width)
        self.logit_scale = nn.Parameter(torch.tensor(FIRST_SCALE))

    def forward(self, batch: Batch) -> Tensor:
        """Return the loss of images (B, 1, S, S), or of their features (B, width), and a batch of graphs as
        `GraphReader` makes it.

        `groups` (B,) are the pairs that belong together; where `frozen` (B,) is true the image encoder does not learn.
        """
        images = unit(self.image_projection(self._features(batch)))
        return contrastive_loss(images, self.embed_graphs(batch), self.scale(), batch["groups"])

    def _features(self, batch: Batch) -> Tensor:
        """Return (B, width); a frozen encoder also keeps the statistics of its normalisation."""
        if "features" in batch:
            return batch["features"]
        if not bool(batch["frozen"][0]):
            return self.image(batch["images"])
        learning = self.image.training
        with torch.no_grad():
            features = self.image.eval()(batch["images"])
        self.image.train(learning)
        return features

    def embed_images(self, images: Tensor) -> Tensor:
        """Return unit vectors (B, width)."""
        return unit(self.image_projection(self.image(images)))

    def embed_graphs(self, batch: Batch) -> Tensor:
        """Return unit vectors (B, width)."""
        return unit(self.graph_projection(self.graph(batch)))

    def scale(self) -> Tensor:
        """Return the factor of similarities: one over the temperature."""
        return self.logit_scale.clamp(max=HIGHEST_SCALE).exp()


def projection(width_in: int, width_out: int) -> nn.Linear:
    """Return a linear map without bias whose first weights keep the length of vectors about the same."""
    linear = nn.Linear(width_in, width_out, bias=False)
    nn.init.normal_(linear.weight, std=width_in**-0.5)
    return linear


def unit(vectors: Tensor) -> Tensor:
    """Return vectors (B, D) brought to unit length, in full precision."""
    return F.normalize(vectors.float(), dim=-1)
