"""The base of every configuration model: strict, immutable, described."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """One block of the configuration; keys it does not know are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
