"""What a user may choose about the comparison of all systems."""

from pydantic import Field

from cxrflow.cohort.policies import UncertainPolicy
from cxrflow.settings import Settings


class SummarySettings(Settings):
    """One leaderboard per cohort: what a linear probe reads from every encoder, on the same patients."""

    encoders_from: dict[str, list[str]] = Field(default={})
    """By cohort: other cohorts of the run whose encoders are compared there as well, beside its own."""
    labels: tuple[str, ...] | None = None
    """Labels that probes learn; null: all of the cohort."""
    uncertain: UncertainPolicy = "zero"
    """What an uncertain label counts as."""
    seeds: int = Field(default=4, gt=0)
    """How many seeds of an encoder are compared at most, the first ones."""
    batch_size: int = Field(default=64, gt=0)
    """Images per forward pass."""
    cost_batch: int = Field(default=16, gt=0)
    """Images per pass when speed and memory are measured."""
    resamples: int = Field(default=10_000, gt=0)
    """Resamples of test patients for intervals. All pairs of encoders are compared: p is at least 2 / (resamples + 1),
    times the number of pairs once it is adjusted, so that few resamples leave no pair sure, whatever it differs by."""
    seed: int = 0
    """Seed of the resamples."""
