"""The base of every configuration model: strict, immutable, described."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

System = Literal["neural", "prunecxr", "patchib", "igcl", "clear"]
"""The systems, by the name that they have everywhere."""
Precision = Literal["auto", "fp32", "bf16"]
"""Arithmetic of a model's forward pass; `auto` is bf16 on a GPU that computes in it, fp32 elsewhere."""


class Settings(BaseModel):
    """One block of the configuration; keys it does not know are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
