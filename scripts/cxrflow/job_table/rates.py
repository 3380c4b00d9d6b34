"""The hours and bytes of a job from the measured rates in workflow/presets/rates.yaml."""

from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, model_validator

from cxrflow.job_table.units import UNITS, Work
from cxrflow.settings import Settings

FILE = Path(__file__).parents[3] / "workflow/presets/rates.yaml"
MINUTE = 1 / 60
"""Hours that a job counts for that takes less than a minute."""
Positive = Annotated[float, Field(gt=0)]


class Part(Settings):
    """A part of the work of a rule's jobs: seconds, operations or bytes per unit, and where the number comes from."""

    unit: str
    seconds: Positive | None = None
    tflop: Positive | None = None
    at: str | None = None
    """Which of the assumed speeds does the operations."""
    shared: bool = False
    """All processors of the job share the work."""
    bytes: Positive | None = None
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _one_number(self) -> Self:
        if sum(number is not None for number in (self.seconds, self.tflop, self.bytes)) != 1:
            raise ValueError("give exactly one of seconds, tflop and bytes")
        if (self.tflop is None) != (self.at is None):
            raise ValueError("`at` says which speed the operations are done at: give both or none")
        if self.unit not in UNITS:
            raise ValueError(f"unknown unit {self.unit!r}; known are {list(UNITS)}")
        return self


class Rates(Settings):
    """The rates of all rules."""

    tflops: dict[str, Positive]
    """Assumed or measured speeds in TFLOP/s, by name."""
    rules: dict[str, Literal["under a minute"] | tuple[Part, ...]]

    @model_validator(mode="after")
    def _known_speeds(self) -> Self:
        named = {part.at for rule in self.rules for part in self.parts(rule) if part.at}
        if named - set(self.tflops):
            raise ValueError(f"unknown speeds {sorted(named - set(self.tflops))}, known are {list(self.tflops)}")
        return self

    def parts(self, rule: str) -> tuple[Part, ...]:
        """Return the parts of a rule's work; none where it takes under a minute whatever the cohort."""
        parts = self.rules[rule]
        return () if isinstance(parts, str) else parts

    def hours(self, work: Work) -> float | None:
        """Return how long a job takes (h), under a minute counted as one; None where nothing is known of its rule."""
        if work.job.rule not in self.rules:
            return None
        return max(MINUTE, sum(self._seconds(part, work) for part in self.parts(work.job.rule)) / 3600)

    def gigabytes(self, work: Work) -> float:
        """Return what a job leaves on disk (GB), where that is much."""
        if work.job.rule not in self.rules:
            return 0.0
        return sum(UNITS[part.unit](work) * (part.bytes or 0) for part in self.parts(work.job.rule)) / 1e9

    def _seconds(self, part: Part, work: Work) -> float:
        each = (part.tflop or 0) / self.tflops[part.at] if part.at else part.seconds or 0
        return each * UNITS[part.unit](work) / (work.job.threads if part.shared else 1)


def read_rates(file: Path = FILE) -> Rates:
    """Return the rates that a file holds."""
    return Rates.model_validate(yaml.safe_load(file.read_text()))
