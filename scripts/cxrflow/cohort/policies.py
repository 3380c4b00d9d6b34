"""What a label that a report calls uncertain counts as: a choice of each task, not of the cohort."""

from collections.abc import Mapping
from typing import Literal

Uncertain = Literal["ignore", "zero", "one"]
UncertainPolicy = Uncertain | dict[str, Uncertain]
"""One policy for all labels, or one per label; `other` stands for labels that are not named (zero without it)."""

OTHER = "other"
_VALUES = {"ignore": float("nan"), "zero": 0.0, "one": 1.0}


def uncertain_value(policy: UncertainPolicy | Mapping[str, Uncertain], label: str) -> float:
    """Return what -1 becomes for `label`: 0.0, 1.0 or NaN (ignored)."""
    if isinstance(policy, str):
        return _VALUES[policy]
    return _VALUES[policy.get(label, policy.get(OTHER, "zero"))]
