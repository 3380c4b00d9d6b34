"""What a user may choose about `igcl`: image and graph encoders, pretraining, and what is done with it afterwards."""

from typing import Annotated, Literal

from pydantic import Field

from cxrflow.igcl.graph_settings import GraphEncoderSettings, GraphSettings
from cxrflow.igcl.transfer_settings import EvaluationSettings, TransferSettings
from cxrflow.settings import Precision, Settings


class DataSettings(Settings):
    """What the image encoder sees."""

    image_size: int = Field(default=192, ge=32)
    """Side of the square radiographs in pixels (published: 224)."""


class ImageEncoderSettings(Settings):
    """The network that turns a radiograph into one vector."""

    name: str = "resnet_small"
    """`resnet_small` (ours, of the backbone's shape) or any timm name; published: vit_base_patch32_clip_224.openai."""
    weights: str | None = "backbone"
    """What pretraining starts from: `backbone` (the demonstration's trained encoder), a file of safetensors, `hub` for
    timm's published weights (cached beforehand), or null: from scratch."""
    widths: tuple[Annotated[int, Field(ge=16)], ...] = Field(default=(48, 96), min_length=1)
    """Channels of each stage of `resnet_small`, as in backbone.network; other networks have their own."""
    grid: int = Field(default=4, gt=0)
    """`resnet_small` is pooled over the whole radiograph and, with more than 1, over each of so many by so many parts
    of it as well: graphs tell the left lung from the right one."""


class SmallGraphEncoderSettings(GraphEncoderSettings):
    """The network that turns a report graph into one vector, at the demonstration's size."""

    width: int = Field(default=128, gt=0)
    """Width of all layers, and of the vector (published: 512)."""


class PretrainingSettings(Settings):
    """Radiographs and the graphs of their reports meet in one space (symmetric contrastive loss, AdamW)."""

    width: int = Field(default=128, gt=0)
    """Width of the common space (published: 768)."""
    epochs: int = Field(default=12, gt=0)
    """Most passes over the train split; the one with the highest recall on the validate split is kept. (The released
    code takes the last.)"""
    patience: int | None = Field(default=4, ge=0)
    """Training ends after more than so many epochs in a row without a higher recall."""
    batch_size: int = Field(default=64, gt=1)
    """Pairs per step: each is a negative of the others."""
    frozen_batches: int | None = Field(default=210, ge=0)
    """Batches at the beginning in which the image encoder does not learn (published: 20); null: it never does."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Rate of AdamW."""
    image_rate: float = Field(default=0.03, gt=0)
    """Rate of the image encoder as a share of the others' (published: 1)."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Weight decay of all weights but the temperature."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Rate over time: constant (published) or falling to zero along a cosine after a short warm-up."""
    augment: bool = False
    """Turn, shift and shade radiographs a little (published: no)."""
    same_text_is_positive: bool = True
    """Treat radiographs whose reports have the same text, those of one study among them, as positives of each other
    (the released code: as negatives)."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass."""
    seed: int = 0
    """First weights and the order of the batches."""


class IgclSettings(Settings):
    """The system `igcl`: contrastive pretraining of radiographs and report graphs, then learning from few labels."""

    pretrained_on: dict[str, str] = Field(default={})
    """Cohorts whose classifiers start from encoders that were pretrained on another cohort, by the name of that one
    (`demo-chexpert: demo-mimic`): a cohort without reports needs one. All others are pretrained on their own reports. A
    cohort that lends its encoders trains no classifiers itself, unless it is named here too (`mimic: mimic`)."""
    data: DataSettings = DataSettings()
    """Radiographs."""
    graphs: GraphSettings = GraphSettings()
    """From report graphs to arrays."""
    image_encoder: ImageEncoderSettings = ImageEncoderSettings()
    """The encoder of radiographs."""
    graph_encoder: SmallGraphEncoderSettings = SmallGraphEncoderSettings()
    """The encoder of graphs."""
    pretraining: PretrainingSettings = PretrainingSettings()
    """How both learn together."""
    transfer: TransferSettings = TransferSettings()
    """Classifiers on the pretrained encoder and on others, from few labels and from all."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """Measurement."""
