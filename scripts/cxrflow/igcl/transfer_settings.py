"""What a user may choose about learning from few labels, and how it is measured."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cxrflow.backbone.settings import BACKBONE
from cxrflow.cohort.policies import UncertainPolicy
from cxrflow.settings import Precision, Settings

Share = Annotated[float, Field(gt=0, le=1)]
NO_FINDING = "No Finding"
PRETRAINED, PATCHIB = "pretrained", "patchib"
"""Weights that the workflow makes, by their name in the configuration."""


class ClassifierSettings(Settings):
    """How a classifier learns: Adam, the epoch with the highest mean AUROC on the validate split."""

    epochs: int = Field(gt=0)
    """Most passes over the labelled radiographs."""
    patience: int | None = Field(ge=0)
    """Training ends after more than so many epochs in a row without a higher AUROC; null: never early."""
    batch_size: int = Field(default=32, gt=0)
    """Radiographs per step."""
    learning_rate: float = Field(gt=0)
    """Rate of Adam."""
    fractions: tuple[Share, ...] = ()
    """Shares of the patients of the train split whose labels are learnt from."""
    shots: tuple[Annotated[int, Field(gt=0)], ...] = ()
    """Few-shot learning: patients with each label (as many as there are, where there are fewer)."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 1, 2), min_length=1)
    """One draw of patients, and one training, per seed (published: 5 to 10 trainings of one draw)."""

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> Self:
        for name, values in (("fractions", self.fractions), ("shots", self.shots), ("seeds", self.seeds)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} are {list(values)}, expected each only once")
        if not self.fractions and not self.shots:
            raise ValueError("neither fractions nor shots are given: there is nothing to learn from")
        return self


class LinearSettings(ClassifierSettings):
    """Linear evaluation: the encoder stays as it is, its features are computed once."""

    epochs: int = Field(default=30, gt=0)
    """Most passes over the labelled radiographs (published: 10 to 100)."""
    patience: int | None = Field(default=5, ge=0)
    """Training ends after more than so many epochs in a row without a higher AUROC; null: never early."""
    learning_rate: float = Field(default=5e-3, gt=0)
    """Rate of Adam (published: 5e-4 to 5e-3)."""
    fractions: tuple[Share, ...] = (0.001, 0.01, 0.1, 1.0)
    """Shares of the patients of the train split whose labels are learnt from."""
    shots: tuple[Annotated[int, Field(gt=0)], ...] = (5,)
    """Few-shot learning: patients with each label (as many as there are, where there are fewer)."""


class FinetuningSettings(ClassifierSettings):
    """Full fine-tuning: the encoder learns as well."""

    epochs: int = Field(default=6, gt=0)
    """Most passes over the labelled radiographs (published: 10 to 100)."""
    patience: int | None = Field(default=2, ge=0)
    """Training ends after more than so many epochs in a row without a higher AUROC; null: never early."""
    batch_size: int = Field(default=8, gt=0)
    """Radiographs per step (published: 32)."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Rate of Adam (published: 5e-4 to 5e-3)."""
    fractions: tuple[Share, ...] = (0.1,)
    """Shares of the patients of the train split whose labels are learnt from."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1)
    """One draw of patients, and one training, per seed."""
    augment: bool = True
    """Turn, shift and shade radiographs a little (published: no)."""


class InitialisationSettings(Settings):
    """Where the weights of an encoder come from."""

    weights: str | None
    """`pretrained` (by this system), `patchib` (the image tower of a model of that system, pretrained on radiographs
    and texts), `backbone`, `hub`, a file of safetensors, or null: from scratch. The first three are those of the cohort
    that the encoder is pretrained on."""
    network: str | None = None
    """Its network, as in image_encoder.name; null: that one. `pretrained` and `patchib` bring their own."""
    model: str = "A"
    """`patchib`: which of its models."""
    seed: int = Field(default=0, ge=0)
    """`patchib`: which of the model's seeds."""

    @model_validator(mode="after")
    def _own_network(self) -> Self:
        if self.network is not None and self.weights in (PRETRAINED, PATCHIB):
            raise ValueError(f"{self.weights!r} brings its own network: leave `network` out")
        return self


class TransferSettings(Settings):
    """Classifiers on the pretrained encoder and on others."""

    labels: tuple[str, ...] = Field(
        default=("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", NO_FINDING, "Pleural Effusion"), min_length=1
    )
    """Findings to learn. Means leave `No Finding` out, as published."""
    uncertain: UncertainPolicy = "one"
    """How a label that a report calls uncertain counts (published: as present)."""
    initialisations: dict[str, InitialisationSettings] = Field(
        default_factory=lambda: {
            "igcl": InitialisationSettings(weights=PRETRAINED),
            "image-text": InitialisationSettings(weights=PATCHIB),
            "backbone": InitialisationSettings(weights=BACKBONE),
            "scratch": InitialisationSettings(weights=None),
        },
        min_length=1,
    )
    """What classifiers start from, by the name that tables and figures give it; others are compared with the first."""
    features: Literal["pooled", "projected"] = "projected"
    """What classifiers read of an encoder pretrained here (`pretrained`, `patchib`): its features (`pooled`), or these
    with the projection into the common space on them (published). Other encoders have no projection."""
    loss: Literal["sigmoid", "softmax"] = "sigmoid"
    """`sigmoid`: binary cross-entropy of every label. `softmax`: cross-entropy across labels, which then compete, as
    in the released code: for comparison only."""
    linear: LinearSettings | None = LinearSettings()
    """Linear evaluation; null: none."""
    finetuning: FinetuningSettings | None = FinetuningSettings()
    """Full fine-tuning; null: none."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass of images."""

    @field_validator("initialisations")
    @classmethod
    def _usable_names(cls, named: dict[str, InitialisationSettings]) -> dict[str, InitialisationSettings]:
        for name in named:
            if not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"{name!r} can't name an initialisation: use letters, digits, '_' and '-'")
        return named

    @model_validator(mode="after")
    def _some_mode(self) -> Self:
        if self.linear is None and self.finetuning is None:
            raise ValueError("neither linear nor finetuning is given: there is nothing to do")
        return self


class EvaluationSettings(Settings):
    """How classifiers and retrieval are measured."""

    radiologists: str | None = None
    """CSV of radiologists' operating points, drawn on the ROC curves: the labels as header, then the false positive
    rates of R readers, a row each, then their R rows of true positive rates. null: none."""
    roc_fraction: Share = 1.0
    """Share of the labels whose ROC curves are drawn, where classifiers learn from it; else the largest."""
    gallery: int = Field(default=6, gt=0)
    """Radiographs of the page of nearest graphs."""
    nearest: int = Field(default=3, gt=0)
    """Nearest graphs shown of each."""
    resamples: int = Field(default=1000, gt=0)
    """Bootstrap resamples of patients behind every interval."""
    seed: int = 0
    """Resamples, and the radiographs drawn."""
