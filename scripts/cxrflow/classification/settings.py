"""What a user may choose about classifiers: classes, network, training."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from cxrflow.cohort.policies import UncertainPolicy
from cxrflow.settings import Precision, Settings


class DataSettings(Settings):
    """What the classifier sees."""

    image_size: int = Field(default=128, ge=32)
    """Side of the square radiographs in pixels (the paper: 256)."""
    classes: tuple[str, ...] | None = None
    """Classes to learn, in the order of all tables; null: all labels of the cohort (20 of NIH-CXR-LT, 19 of
    MIMIC-CXR-LT, or the data set's own)."""
    uncertain: UncertainPolicy = "zero"
    """How a label that a report calls uncertain counts; long-tailed label files have none."""


class NetworkSettings(Settings):
    """The classifier."""

    name: str = "resnet_small"
    """`resnet_small` (ours, learns from scratch in minutes) or any timm name; the paper's is resnet50."""
    weights: str | None = None
    """File of safetensors weights, `hub` for timm's published ones (cached beforehand), or null: from scratch."""
    widths: tuple[Annotated[int, Field(ge=16)], ...] = Field(default=(32, 64, 128), min_length=1)
    """Channels of each stage of `resnet_small`; other networks have their own."""


class TrainingSettings(Settings):
    """One classifier per seed: mean binary cross-entropy over images and classes, Adam, early stopping."""

    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 1, 2, 3), min_length=1)
    """One training job and one sweep job per seed (the paper: 30)."""
    epochs: int = Field(default=12, gt=0)
    """Most passes over the train split; the one with the lowest validation loss is kept."""
    patience: int = Field(default=4, ge=0)
    """Training ends after more than so many epochs in a row without a lower validation loss."""
    batch_size: int = Field(default=32, gt=0)
    """Radiographs per step."""
    learning_rate: float = Field(default=1.5e-3, gt=0)
    """Rate of Adam."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Rate over time: constant (the paper) or falling to zero along a cosine after a short warm-up."""
    rotation: float = Field(default=10, ge=0, le=45)
    """Largest rotation of augmented radiographs in degrees (the paper: 15)."""
    flip: bool = False
    """Mirror every other radiograph (the paper does; it moves the heart to the other side)."""
    frozen_norm: bool = False
    """Keep batch normalisation's statistics from the second epoch on, as the released program does by mistake: for
    comparison only."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass."""

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"seeds are {list(seeds)}, expected each only once")
        return seeds
