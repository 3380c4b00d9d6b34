"""The configuration block `reports`."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cxrflow.cohort.openi_index import LABEL_OF
from cxrflow.settings import Settings

LABELS = tuple(sorted({label for labels in LABEL_OF.values() for label in labels}))


class ExtractSettings(Settings):
    """How findings and graphs are read from report texts."""

    extractor: Literal["rules", "radgraph-json", "scispacy-model"] = "rules"
    """Who finds the entities: the lexicon and rules that come with this project, annotations in RadGraph's published
    format (files named per cohort), or an installed scispaCy model whose entities the rules then judge."""
    model: str | None = None
    """scispacy-model: name of an installed spaCy or scispaCy model (en_core_sci_sm), or the folder of one."""
    sentences: Literal["rule", "scispacy"] = "rule"
    """rules and scispacy-model: end sentences at full stops (`rule`), or where scispaCy's segmenter does (pySBD;
    slower)."""
    abbreviations: bool = True
    """rules and scispacy-model: let short forms that a report defines, as in 'right lower lobe (RLL)', carry the
    meaning of their long forms (scispaCy's detector, run on texts with a parenthesis only)."""
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

    @model_validator(mode="after")
    def _model_where_it_is_used(self) -> Self:
        if self.extractor == "scispacy-model" and not self.model:
            raise ValueError(
                "the extractor scispacy-model needs `model`: the name of an installed model such as en_core_sci_sm, or "
                "the folder of one"
            )
        if self.extractor != "scispacy-model" and self.model is not None:
            raise ValueError(f"`model` is only read by the extractor scispacy-model, not by {self.extractor}")
        return self


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
    radgraph_test: str | None = None
    """RadGraph's test.json (two radiologists, 100 reports): when given, graphs made by the rules are scored against
    it."""
