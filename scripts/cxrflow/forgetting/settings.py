"""What may be chosen about the analysis of forgetting, for every system with a compression axis."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator

from cxrflow.settings import Settings

Share = Annotated[float, Field(gt=0, lt=1)]


class ForgettingSettings(Settings):
    """Class forgettability: how much of a class's average precision is lost along the compression."""

    drop: float = Field(default=0.2, gt=0, lt=1)
    """Relative loss that counts as the first drop of a class (the paper: 20 %)."""
    head: int = Field(default=1000, gt=0)
    """Training images from which on a class belongs to the head of the long tail."""
    medium: int = Field(default=100, gt=0)
    """Training images from which on a class is medium; rarer ones are the tail."""
    resamples: int = Field(default=500, ge=100)
    """Resamples of patients, and of seeds with them, behind every interval."""
    permutations: int = Field(default=5000, ge=100)
    """Permutations of the classes behind the p-values of pairs of classes, which are not independent."""
    seed: int = Field(default=0, ge=0)
    """Seed of the resamples and permutations."""
    legacy: bool = False
    """Take frequency and overlap of classes, and the number of diseases of an image, as the released analysis computes
    them (row sums of the co-occurrence matrix; id columns counted as diseases), for comparison only."""


class ExemplarSettings(Settings):
    """Images on which the compressed model disagrees most with the whole one: pruning-identified exemplars (PIEs)."""

    level: Share = 0.9
    """Share taken away at which agreement is measured; one of the levels that are run."""
    share: Share = 0.05
    """Share of the images, those that agree least, that are exemplars."""
    halves: int = Field(default=50, gt=0)
    """Random halves of the seeds between which the exemplars are compared: how reliable the set is."""
    shares: tuple[Share, ...] = (0.01, 0.025, 0.05, 0.1)
    """Shares for the sensitivity of the set to the choice of `share`; every level is tried with each."""
    browser: Literal["open", "always", "never"] = "open"
    """Make a page that shows the exemplars: for openly published cohorts only, for credentialed ones too, or never."""

    @field_validator("shares")
    @classmethod
    def _ascending(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if any(a >= b for a, b in pairwise(shares)):
            raise ValueError(f"shares are {list(shares)}, expected ascending ones")
        return shares
