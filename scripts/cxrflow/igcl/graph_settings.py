"""What a user may choose about the report graphs of `igcl`, and about the network that reads them."""

from typing import Literal, Self

from pydantic import Field, model_validator

from cxrflow.settings import Precision, Settings

Transform = Literal["none", "dummy", "meta", "reaction"]
Architecture = Literal["dracon", "rgcn", "gcn", "gat", "sage"]


class GraphSettings(Settings):
    """The graphs of the reports: one node per entity, one directed edge per relation."""

    text_encoder: str = "hashed"
    """Vectors of entities: `hashed` (signed hashes of words and letter groups, nothing to download) or the folder or
    hub name of a BERT (published: bert-base-uncased). It reads the whole report; its last four layers are summed."""
    text_width: int = Field(default=128, ge=16)
    """Width of a hashed vector; a BERT has its own."""
    text_precision: Precision = "auto"
    """Arithmetic of the BERT (published: fp32). Nothing is trained here, so `auto` is bf16 also on processors that have
    instructions for it. Vectors are stored as half floats in any case."""
    transform: Transform = "reaction"
    """Virtual nodes that join the parts of a disconnected graph: one for the whole graph (`dummy`), one per part, all
    joined with each other (`meta`), or one per part, all joined with one more (`reaction`, published)."""
    gate: Literal["components", "legacy"] = "components"
    """Which graphs get virtual nodes: all of several parts (`components`), or, as in the released code, only those
    that also have an entity without any relation (`legacy`)."""
    both_directions: bool = False
    """Add each relation in the other direction too, as a type of its own (published: no)."""


class GraphEncoderSettings(Settings):
    """The network that turns a report graph into one vector."""

    architecture: Architecture = "dracon"
    """`dracon` (relational convolutions, then attention among the nodes of a graph; published), or without attention:
    `rgcn`, and `gcn`, `gat` or `sage`, of which only `gat` sees the types of relations."""
    width: int = Field(default=512, gt=0)
    """Width of all layers, and of the vector."""
    convolutions: int = Field(default=2, gt=0)
    """Graph convolutions."""
    transformer_layers: int = Field(default=1, gt=0)
    """`dracon`: transformer layers after the convolutions."""
    heads: int = Field(default=2, gt=0)
    """Attention heads of `dracon` and `gat`."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """`dracon`: share of values set to zero in the transformer layers."""
    pooling: Literal["mean", "attention"] = "mean"
    """How nodes become one vector: their mean (published), or weighted by a learned score."""
    fc_layers: int = Field(default=2, ge=0)
    """Linear layers with ReLU after the pooling. (The published recipe has 2, the released evaluation expects 1.)"""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.architecture in ("dracon", "gat") and self.width % self.heads:
            raise ValueError(f"graph encoder width {self.width} is not a multiple of its {self.heads} heads")
        return self
