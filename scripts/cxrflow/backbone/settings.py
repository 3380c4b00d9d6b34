"""What a user may choose about the backbone."""

from typing import Annotated

from pydantic import Field

from cxrflow.classification.settings import DataSettings, NetworkSettings, TrainingSettings
from cxrflow.settings import Settings

BACKBONE = "backbone"
"""What a configuration names as `weights` where an encoder starts from the trained backbone."""


class BackboneData(DataSettings):
    """What it sees."""

    image_size: int = Field(default=192, ge=32)
    """Side of the square radiographs in pixels."""


class BackboneNetwork(NetworkSettings):
    """Its sizes."""

    widths: tuple[Annotated[int, Field(ge=16)], ...] = Field(default=(48, 96), min_length=1)
    """Channels of each stage: 144 places of 96 numbers for a radiograph of 192 px."""


class BackboneTraining(TrainingSettings):
    """How it learns."""

    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1, max_length=1)
    """First weights and the order of the batches."""
    epochs: int = Field(default=10, gt=0)
    """Most passes over the train split; the one with the lowest validation loss is kept."""
    batch_size: int = Field(default=16, gt=0)
    """Radiographs per step."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Rate of Adam."""


class BackboneSettings(Settings):
    """The small image encoder of the demonstration; nothing of it is used where published weights are named."""

    data: BackboneData = BackboneData()
    """Radiographs and labels."""
    network: BackboneNetwork = BackboneNetwork()
    """The encoder, with one classifier of all findings on it while it learns."""
    training: BackboneTraining = BackboneTraining()
    """Training."""
