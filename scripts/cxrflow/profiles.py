"""A cluster's names can't be guessed: a profile that leaves them open is an error before anything is submitted."""

from collections.abc import Iterable, Mapping
from typing import Any

from cxrflow.errors import UserError

LEFT_OPEN = "YOUR_"


def require_filled_in(resources: Iterable[Mapping[str, Any] | None]) -> None:
    """Raise UserError where a resource of a profile, a default one or a rule's, still is a placeholder."""
    pairs = {(name, _text(value)) for one in resources for name, value in (one or {}).items()}
    found = sorted((name, value) for name, value in pairs if value.startswith(LEFT_OPEN))
    if found:
        names = ", ".join(f"{name} ({value})" for name, value in found)
        raise UserError(
            f"The profile doesn't say what this cluster's are called: {names}.",
            "Put your names into workflow/profiles/slurm/config.yaml; docs/slurm.md says how to find them.",
        )


def _text(value: Any) -> str:
    """Return what was written in the profile: Snakemake keeps it beside what it made of it."""
    return str(getattr(value, "raw", value))
