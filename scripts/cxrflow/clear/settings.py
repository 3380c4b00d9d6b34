"""What a user may choose about `clear`: slices, pretraining, and what is done with the encoders afterwards."""

from pydantic import model_validator

from cxrflow.clear.architecture_names import STRIDES
from cxrflow.clear.downstream_settings import DownstreamSettings
from cxrflow.clear.pretraining_settings import AugmentationSettings, DataSettings, PretrainingSettings
from cxrflow.settings import Settings


class ClearSettings(Settings):
    """The system `clear`: contrastive pretraining on CT slices, then aggregation of the slices of a patient."""

    data: DataSettings = DataSettings()
    """Slices."""
    augmentation: AugmentationSettings = AugmentationSettings()
    """Changes of views in pretraining."""
    pretraining: PretrainingSettings = PretrainingSettings()
    """How encoders learn without labels."""
    downstream: DownstreamSettings = DownstreamSettings()
    """From slices to patients."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> "ClearSettings":
        stride, name = STRIDES[self.pretraining.architecture], self.pretraining.architecture
        if self.data.image_size % stride:
            raise ValueError(f"{name} sees images whose side is divisible by {stride}: change data.image_size")
        if self.data.slice_size < self.data.image_size:
            raise ValueError("data.slice_size is the side that crops are cut from: at least data.image_size")
        return self

    @model_validator(mode="after")
    def _encoders_are_pretrained(self) -> "ClearSettings":
        for name, about in self.downstream.encoders.items():
            if about.source == "pretrained" and (about.name or name) not in self.pretraining.variants:
                variants = list(self.pretraining.variants)
                raise ValueError(
                    f"downstream.encoders.{name} is no variant of pretraining, which has {variants}: give its `name`, "
                    "or another `source`"
                )
        return self
