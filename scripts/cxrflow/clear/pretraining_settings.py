"""What a user may choose about the pretraining of `clear`: encoders, views, loss and recipe."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cxrflow.clear.architecture_names import Architecture
from cxrflow.settings import Precision, Settings

Sampling = Literal["lesion", "none"]
Share = Annotated[float, Field(ge=0, le=1)]
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


@dataclass(frozen=True)
class Recipe:
    """Numbers of a recipe that belong together."""

    temperature: float
    momentum: float
    momentum_schedule: Literal["constant", "cosine"]
    learning_rate: float
    weight_decay: float


RECIPES = {
    "moco_v3": Recipe(0.2, 0.99, "cosine", 1.5e-4, 0.1),
    "legacy": Recipe(1.0, 0.99, "constant", 1e-4, 1e-6),
}
"""MoCo v3's for vision transformers, and the defaults of CLEAR's released program."""


class DataSettings(Settings):
    """Which slices are seen."""

    image_size: int = Field(default=64, ge=32)
    """Side in pixels of the slices and crops that encoders see (published: 224)."""
    slice_size: int = Field(default=128, ge=32)
    """Side of the slices that crops are cut from in pretraining (published: 512)."""


class VariantSettings(Settings):
    """One way to pretrain."""

    sampling: Sampling = "lesion"
    """Views of key slices: `lesion`, the whole slice and a crop around one of its lesions; `none`, random crops as of
    all other slices."""
    sample_weight: float = Field(default=1.0, ge=0)
    """What the similarity of key slices is multiplied by where they are counted again among the negatives; 0: they are
    not. (The paper's text multiplies the term and not the similarity; both agree for 1.)"""

    @model_validator(mode="after")
    def _weight_of_lesions(self) -> "VariantSettings":
        if self.sampling == "none" and self.sample_weight != 0:
            raise ValueError("with `sampling: none` no slice counts as a key slice: give `sample_weight: 0`")
        return self

    @property
    def mode(self) -> str:
        """The name of what is trained, as in the names of published checkpoints."""
        return "moco" if self.sampling == "none" else f"moco-lecl-{self.sample_weight:g}"


class AugmentationSettings(Settings):
    """How views are changed after they are cut."""

    level: Share = 0.1
    """Largest shift of the window, as a share of its width."""
    width: Share = 0.25
    """Largest change of the window's width, as a share of it."""
    gamma: Share = 0.25
    """Largest change of the exponent of grey values, as a share of 1."""
    blur: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.1, 2.0)
    """Least and largest standard deviation of a blur, in pixels of an image of 224."""
    blurred: tuple[Share, Share] = (1.0, 0.1)
    """Shares of the first views (whole slices of key slices) and of the second ones (crops around lesions) that are
    blurred."""
    flip: bool = False
    """Mirror every other view: left becomes right (published: yes)."""


class PretrainingSettings(Settings):
    """MoCo v3 on slices, with lesion-aware views and loss (LeCL)."""

    variants: dict[FolderName, VariantSettings] = Field(
        default={"lecl-1": VariantSettings(), "moco": VariantSettings(sampling="none", sample_weight=0.0)}, min_length=1
    )
    """Ways to pretrain, by the name that their folder gets."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 1), min_length=1)
    """One encoder of each variant per seed (published: one)."""
    architecture: Architecture = "conv_small"
    """The encoder (published: vit_conv_base by default; mambaout and vmamba are called the best)."""
    start: str | None = None
    """Weights to start from: a checkpoint of the released program (.pth.tar) or one written here (.safetensors); null:
    random ones."""
    recipe: Literal["moco_v3", "legacy"] = "moco_v3"
    """Where the numbers come from that are null below: MoCo v3 (temperature 0.2, momentum rising from 0.99 to 1, rate
    1.5e-4, decay 0.1) or the released program (1.0, 0.99 always, 1e-4, 1e-6)."""
    temperature: float | None = Field(default=None, gt=0)
    """What similarities are divided by."""
    momentum: float | None = Field(default=0.9, ge=0, lt=1)
    """Share of itself that the following encoder keeps in each step, at the beginning: less than published where
    steps are few."""
    momentum_schedule: Literal["constant", "cosine"] | None = None
    """Whether that share stays or rises to 1."""
    learning_rate: float | None = Field(default=0.01, gt=0)
    """Rate of AdamW for a batch of 256; it grows with the batch."""
    weight_decay: float | None = Field(default=None, ge=0)
    """Weight decay of AdamW."""
    hidden: int = Field(default=256, gt=0)
    """Width inside the projector and the predictor (published: 4096)."""
    width: int = Field(default=64, gt=0)
    """Width of the space in which views are compared (published: 256)."""
    epochs: int = Field(default=4, gt=0)
    """Passes over the slices of the train split."""
    warmup_epochs: float = Field(default=1, ge=0)
    """Passes in which the rate rises; along with that it falls to zero on a cosine from the beginning (published: from
    the end of the rise)."""
    patience: int | None = Field(default=None, ge=0)
    """Null: the last epoch is kept, as published. A number: the one with the lowest loss on the validate split, and
    training ends after more than so many epochs in a row without a lower one."""
    batch_size: int = Field(default=64, gt=1)
    """Slices per step, over all GPUs: each is a negative of the others (published: 4096, or 256 in an example)."""
    crop_min: float = Field(default=0.08, gt=0, le=1)
    """Least share of a slice's area that a crop has."""
    rest_patches: bool = False
    """Leave the patch embedding of vision transformers as it begins (MoCo v3's advice); one of convolutions learns."""
    checkpoint_every: int | None = Field(default=None, gt=0)
    """Keep the encoder after each so many epochs (published: 1); the last one is always kept."""
    experiment_name: str = Field(default="demo", pattern=r"^[A-Za-z0-9._-]+$")
    """Part of the checkpoints' names."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass."""

    @property
    def numbers(self) -> Recipe:
        """The numbers of the recipe, except where they are given."""
        given = RECIPES[self.recipe]
        named = {name: getattr(self, name) for name in given.__dataclass_fields__}
        return Recipe(**{name: getattr(given, name) if value is None else value for name, value in named.items()})


def checkpoint_name(settings: PretrainingSettings, variant: VariantSettings, epochs: int) -> str:
    """Return the file name of the encoder after so many epochs, as the released program gives it, its mode true."""
    number = f"checkpoint_{epochs:04d}.safetensors"
    return "-".join([settings.architecture, variant.mode, settings.experiment_name, number])
