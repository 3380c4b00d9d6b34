"""The configuration block `reports`."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from cxrflow.cohort.openi_index import LABEL_OF
from cxrflow.settings import Settings

LABELS = tuple(sorted({label for labels in LABEL_OF.values() for label in labels}))


class ExtractSettings(Settings):
    """How findings and graphs are read from report texts."""

    scope_words: Annotated[int, Field(ge=1)] = 20
    """Words that a trigger such as 'no' reaches at most, within its sentence."""
    composite_words: Annotated[int, Field(ge=1)] = 7
    """Words that may lie between an anatomy and what is said of it ('the heart ... is mildly enlarged')."""
    relation_words: Annotated[int, Field(ge=1)] = 8
    """Words that may lie between two entities of a graph for a relation to join them."""
    probable: Literal["present", "uncertain"] = "present"
    """Status in the findings of what a report calls likely or probable (graphs always mark it as uncertain)."""
    differential: Literal["present", "uncertain"] = "present"
    """Status in the findings of both sides of 'atelectasis versus scar' (Open-I's human index mostly names both)."""


class ScoreSettings(Settings):
    """How extracted findings are compared with the labels of the cohort."""

    labels: tuple[str, ...] = LABELS
    """Labels that are scored and that the averages run over (names of CheXpert and MIMIC-CXR-JPG)."""
    resamples: Annotated[int, Field(ge=0)] = 1000
    """Bootstrap resamples of patients for the 95 % intervals; 0 leaves the intervals empty."""
    seed: int = 0
    """Seed of the bootstrap."""

    @field_validator("labels")
    @classmethod
    def _known(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(labels) - set(LABELS))
        if unknown or not labels:
            raise ValueError(f"expected labels among {', '.join(LABELS)}; found {unknown or 'none'}")
        return labels


class ReportsSettings(Settings):
    """Reports: findings with status and side, and graphs in the RadGraph schema."""

    extract: ExtractSettings = ExtractSettings()
    """Reading findings and graphs from texts."""
    score: ScoreSettings = ScoreSettings()
    """Scoring the findings that were read."""
