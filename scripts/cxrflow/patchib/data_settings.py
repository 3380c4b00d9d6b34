"""What a user may choose about the data set of `patchib`."""

from typing import Literal

from pydantic import Field

from cxrflow.cohort.policies import UncertainPolicy
from cxrflow.settings import Settings

TextSections = Literal["all", "findings_impression", "impression"]


class MasterSettings(Settings):
    """Which radiographs and texts make the data set."""

    views: tuple[Literal["PA", "AP", "FRONTAL", "LATERAL", "LL", "UNKNOWN"], ...] = Field(
        default=("PA", "AP"), min_length=1
    )
    """View positions that are taken, among those that the cohort's `reading.views` kept."""
    text_sections: TextSections = "findings_impression"
    """What of a report is the text of its radiographs: `all` of it, with its headers; `findings_impression`, as far as
    it has them; the `impression` alone, or the findings where it has none. Where it has neither, the last two take the
    paragraph that stands for them."""
    shortest_report: int = Field(default=30, ge=0)
    """Reports that have fewer characters, all sections and headers counted, are left out."""
    uncertain: UncertainPolicy = "zero"
    """How a finding that the report calls uncertain counts: absent (zero), present (one) or not at all (ignore). One
    word for all labels, or one per label: `{Edema: one, other: zero}`."""
