"""The configuration of one cohort: where its raw files are and what of them is used."""

from typing import Literal

from pydantic import Field, model_validator

from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.settings import Settings


class ReadingSettings(Settings):
    """What an adapter takes from a raw tree."""

    label_table: Literal["chexpert", "negbio"] = "chexpert"
    """Which labeler's table gives the labels."""
    views: list[Literal["PA", "AP", "LATERAL", "LL"]] = Field(default=["PA", "AP"], min_length=1)
    """View positions that are kept."""
    text_sections: list[str] = Field(default=["findings", "impression"], min_length=1)
    """Report sections that make up the text which models read, in this order."""
    minimum_report_characters: int = Field(default=30, ge=0)
    """Reports whose text is shorter are quarantined."""
    on_bad_input: Literal["quarantine", "fail"] = "quarantine"
    """What a bad input row leads to: a row in the quarantine table, or the end of the run."""
    maximum_quarantined: float = Field(default=0.05, ge=0, le=1)
    """Share of quarantined rows above which the run fails."""


class CohortSettings(Settings):
    """One data set, real (`root`) or simulated (`simulate`)."""

    format: Literal["mimic-cxr-jpg"] = "mimic-cxr-jpg"
    """Layout of the raw files; it names the adapter that reads them."""
    root: str | None = None
    """Folder of the images and their tables (the one that holds `files/`). Absent for a simulated cohort."""
    reports: str | None = None
    """Folder of the report tree (`files/p10/p10000032/s50414267.txt`). Absent for a simulated cohort."""
    boxes: str | None = None
    """Table of annotated boxes in MS-CXR's columns. Optional; a simulated cohort brings its own."""
    simulate: SimulationSettings | None = None
    """Make the raw files instead of reading real ones."""
    reading: ReadingSettings = ReadingSettings()
    """What is taken from the raw files."""
    split_shares: tuple[float, float, float] = (0.7, 0.1, 0.2)
    """Shares of patients for train, validate and test where the data set has no official split."""
    split_seed: int = Field(default=0, ge=0)
    """Seed of that split."""

    @model_validator(mode="after")
    def _real_or_simulated(self) -> "CohortSettings":
        if (self.root is None) == (self.simulate is None):
            raise ValueError("give either `root` (real files) or `simulate`, not both and not neither")
        if self.simulate is None and self.reports is None:
            raise ValueError("`root` needs `reports`, the folder of the report tree")
        return self

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> "CohortSettings":
        if min(self.split_shares) <= 0 or abs(sum(self.split_shares) - 1) > 1e-9:
            raise ValueError("`split_shares` must be three positive numbers that sum to 1")
        return self
