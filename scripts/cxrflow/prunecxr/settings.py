"""What a user may choose about `prunecxr`: classes, network, training, pruning sweep, analysis."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from cxrflow.classification.settings import DataSettings, NetworkSettings, TrainingSettings
from cxrflow.forgetting.settings import ExemplarSettings, ForgettingSettings
from cxrflow.prunecxr.survey_settings import SurveySettings
from cxrflow.settings import Precision, Settings

Method = Literal["l1", "random", "layerwise"]
"""Ways to choose weights: the smallest magnitudes of all layers together, any, or the smallest of each layer."""
MAIN: Method = "l1"


class SweepSettings(Settings):
    """Pruning after training, in one shot and without fine-tuning, at every sparsity in turn."""

    sparsities: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = (0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
    """Shares of the weights of convolutions and linear layers that are set to zero, ascending from 0."""
    methods: tuple[Method, ...] = ("l1", "random", "layerwise")
    """`l1`: smallest magnitudes of all layers together (the paper's). Controls: `random`, and `layerwise`, the smallest
    of each layer by itself."""
    chunks: int = Field(default=1, gt=0)
    """Jobs over which the sparsities of a seed are spread."""
    batch_size: int = Field(default=32, gt=0)
    """Radiographs per forward pass; on a processor few are faster than many, on a GPU many."""
    precision: Precision = "fp32"
    """Arithmetic of the forward pass; anything but fp32 changes the probabilities slightly."""

    @field_validator("sparsities")
    @classmethod
    def _ascending_from_zero(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if len(shares) < 2 or shares[0] != 0 or any(a >= b for a, b in pairwise(shares)):
            raise ValueError(f"sparsities are {list(shares)}, expected 0 and then ascending shares below 1")
        return shares

    @field_validator("methods")
    @classmethod
    def _paper_first(cls, methods: tuple[Method, ...]) -> tuple[Method, ...]:
        if not methods or methods[0] != MAIN or len(set(methods)) < len(methods):
            raise ValueError(f"methods are {list(methods)}, expected {MAIN!r} first and each only once")
        return methods

    @model_validator(mode="after")
    def _chunks_have_sparsities(self) -> "SweepSettings":
        if self.chunks > len(self.sparsities):
            raise ValueError(f"{self.chunks} chunks are more than the {len(self.sparsities)} sparsities")
        return self


class PublishedPredictions(Settings):
    """The authors' files of one data set, such as nih-cxr-lt_resnet50_seed-0_prune-0.05.pkl."""

    folder: str
    """Folder of the files; a file of each of `training.seeds` and `sweep.sparsities` must be there."""
    method: Method = MAIN
    """How these networks were pruned."""
    network: str = "resnet50"
    """The network, as the files are named."""


class PruneCxrSettings(Settings):
    """Which diseases a pruned classifier forgets, and in whom."""

    data: DataSettings = DataSettings()
    """What the classifier sees."""
    network: NetworkSettings = NetworkSettings()
    """The classifier."""
    training: TrainingSettings = TrainingSettings()
    """Its training."""
    sweep: SweepSettings = SweepSettings()
    """Its pruning."""
    forgetting: ForgettingSettings = ForgettingSettings()
    """Class forgettability."""
    exemplars: ExemplarSettings = ExemplarSettings()
    """Pruning-identified exemplars."""
    published: dict[str, PublishedPredictions] = Field(default={})
    """Cohorts whose predictions are the authors' published ones, by name: nothing is trained or swept there."""
    surveys: dict[str, SurveySettings] = Field(default={})
    """Answers of radiologists about images of a cohort, by the cohort's name."""

    @model_validator(mode="after")
    def _agreement_is_measured_where_it_is_run(self) -> "PruneCxrSettings":
        if self.exemplars.level not in self.sweep.sparsities:
            raise ValueError(f"exemplars.level {self.exemplars.level} is not among {list(self.sweep.sparsities)}")
        return self


def chunk_of(sparsities: tuple[float, ...], chunk: int, chunks: int) -> tuple[float, ...]:
    """Return the sparsities of one chunk: contiguous runs of nearly equal length."""
    count = len(sparsities)
    return sparsities[chunk * count // chunks : (chunk + 1) * count // chunks]
