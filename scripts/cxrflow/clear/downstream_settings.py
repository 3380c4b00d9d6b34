"""What a user may choose about `clear` after pretraining: encoders, tasks, how slices are aggregated and measured."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cxrflow.settings import Precision, Settings

Share = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0)]
Aggregator = Literal["abmil", "gated_abmil", "pma", "mean", "max"]
ATTENDING: tuple[Aggregator, ...] = ("abmil", "gated_abmil", "pma")
"""Aggregators whose weights of slices are learnt."""
TaskKind = Literal["multi-label", "multi-class", "ordinal"]


class EncoderSettings(Settings):
    """Where an encoder of slices comes from."""

    source: Literal["pretrained", "scratch", "file", "timm", "open_clip"]
    """`pretrained` by this system; `scratch`, its architecture with random weights; `file`, with those of a file;
    `timm`; or `open_clip`."""
    name: str | None = None
    """Which one: a variant of clear.pretraining (null: of the encoder's own name), a timm model, an open_clip folder or
    `hf-hub:` name (BiomedCLIP: hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224)."""
    weights: str | None = None
    """Of a `file`: safetensors of this system, or a checkpoint of the released program. Of timm models: safetensors,
    `hub` for the published ones, null for random ones."""
    seeds: tuple[Seed, ...] | None = Field(default=None, min_length=1)
    """One feature store, and one set of aggregators, per seed; null: those of pretraining for `pretrained`, 0 for
    others."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.source in ("timm", "open_clip") and self.name is None:
            raise ValueError(f"an encoder of the source {self.source} needs a `name`")
        if self.source in ("pretrained", "scratch", "open_clip") and self.weights is not None:
            raise ValueError(f"`weights` are not read with the source {self.source}: take `file` or `timm`")
        if self.source == "file" and self.weights is None:
            raise ValueError("an encoder of the source file needs its `weights`")
        return self


class FeatureSettings(Settings):
    """How features of slices are computed."""

    batch_size: int = Field(default=64, gt=0)
    """Slices at once, all of one patient (published: 1)."""
    precision: Precision = "fp32"
    """Arithmetic of the forward pass."""


class TaskSettings(Settings):
    """What is told of each patient or study."""

    source: Literal["lesion_location", "abnormality", "csv"]
    """`lesion_location`: the types of the patient's marked lesions. `abnormality`: whether any lesion is marked. `csv`:
    a file with a column `image` (the id of a patient or a study) and labels."""
    file: str | None = None
    """The csv."""
    kind: TaskKind = "multi-label"
    """`multi-label`: columns of 1, 0 or nothing. `multi-class` and `ordinal`: one column of classes."""
    labels: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Columns of the csv, or types of lesions; null: all (of a csv: but `image` and `all`)."""
    classes: tuple[str, ...] | None = Field(default=None, min_length=2)
    """Classes of the one column, of an ordinal task from the lowest to the highest; null: sorted as they are found."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.source == "csv") != (self.file is not None):
            raise ValueError("`file` is the csv of a task whose source is csv: give both or none")
        if self.source != "csv" and self.kind != "multi-label":
            raise ValueError(f"the task {self.source} is multi-label")
        if self.classes is not None and self.kind == "multi-label":
            raise ValueError("`classes` are of multi-class and ordinal tasks")
        return self


class AggregationSettings(Settings):
    """How a patient's slices become one prediction, and how that is learnt."""

    aggregators: tuple[Aggregator, ...] = Field(default=("abmil", "mean"), min_length=1)
    """`abmil`, `gated_abmil`: attention (Ilse et al. 2018); `pma`: pooling by multi-head attention (Lee et al. 2019);
    `mean` and `max` of the slices. Figures are of the first, those of attention of the first that attends."""
    hidden: int = Field(default=128, gt=0)
    """Width of all layers (published: 256)."""
    heads: int = Field(default=4, gt=0)
    """Heads of `pma`, which divide `hidden`."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Share of the classifier's inputs that is left out in training."""
    epochs: int = Field(default=12, gt=0)
    """Most passes over the labelled patients (published: 32)."""
    patience: int | None = Field(default=4, ge=0)
    """Training ends after more than so many epochs in a row without a lower loss on the fold held out (published: 8);
    null: never early."""
    batch_size: int = Field(default=32, gt=0)
    """Patients per step (published: 64)."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Rate of Adam (published: 1e-4)."""
    bag_size: int | None = Field(default=512, gt=0)
    """Most slices of a patient in a training step, drawn at random each time; null: all. Evaluation takes all."""
    folds: int = Field(default=5, ge=2)
    """Parts of the train and validate splits, by patient; each is held out once."""
    fractions: tuple[Share, ...] = Field(default=(0.1, 0.5, 1.0), min_length=1)
    """Shares of a fold's patients whose labels are learnt from; each contains the smaller ones."""
    seed: Seed = 0
    """The folds, the draws of patients, and, with fold and encoder seed, first weights and the order of batches."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("aggregators", "fractions"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} are {list(getattr(self, name))}, expected each only once")
        if "pma" in self.aggregators and self.hidden % self.heads:
            raise ValueError(f"hidden is {self.hidden}, expected a multiple of the {self.heads} heads")
        return self


class MeasuringSettings(Settings):
    """How aggregators and encoders are measured."""

    resamples: int = Field(default=1000, gt=0)
    """Bootstrap resamples of patients behind every interval."""
    seed: Seed = 0
    """Resamples, and the patients drawn."""
    compute_batch: int = Field(default=16, gt=0)
    """Slices at once when an encoder's speed is measured."""
    shown: int = Field(default=6, gt=0)
    """Test patients of the figures of attention."""
    top: int = Field(default=4, gt=0)
    """Slices shown of each: those with the highest attention."""


class DownstreamSettings(Settings):
    """Everything of `clear` after pretraining."""

    encoders: dict[str, EncoderSettings] = Field(
        default_factory=lambda: {
            "lecl-1": EncoderSettings(source="pretrained"),
            "moco": EncoderSettings(source="pretrained"),
            "scratch": EncoderSettings(source="scratch"),
        },
        min_length=1,
    )
    """What features come from, by the name that tables and figures give it; others are compared with the first."""
    features: FeatureSettings = FeatureSettings()
    """From slices to features."""
    tasks: dict[str, TaskSettings] = Field(
        default_factory=lambda: {"lesion_location": TaskSettings(source="lesion_location")}, min_length=1
    )
    """What is told of patients, by name; figures show the first."""
    aggregation: AggregationSettings = AggregationSettings()
    """From features to patients."""
    measuring: MeasuringSettings = MeasuringSettings()
    """Measurement."""

    @field_validator("encoders", "tasks")
    @classmethod
    def _usable_names(cls, named: dict[str, Settings]) -> dict[str, Settings]:
        for name in named:
            if not name.replace("_", "").replace("-", "").replace(".", "").isalnum():
                raise ValueError(f"{name!r} can't be a name here: use letters, digits, '.', '_' and '-'")
        return named
