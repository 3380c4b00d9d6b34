"""The whole configuration as one typed model; the JSON schema and every error message come from it."""

import difflib
import json
import re
from collections.abc import Collection, Mapping
from itertools import chain
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from cxrflow.backbone.settings import BackboneSettings
from cxrflow.clear.settings import ClearSettings
from cxrflow.cohort.layouts import LAYOUTS
from cxrflow.cohort.settings import CohortSettings
from cxrflow.errors import UserError
from cxrflow.igcl.fitting import require_lenders, require_models
from cxrflow.igcl.settings import IgclSettings
from cxrflow.igcl.transfer_settings import PATCHIB
from cxrflow.neural.settings import NeuralSettings
from cxrflow.patchib.settings import PatchibSettings
from cxrflow.prunecxr.settings import PruneCxrSettings
from cxrflow.reports.settings import ReportsSettings
from cxrflow.settings import Settings, System
from cxrflow.summary.settings import SummarySettings

READS_REPORTS = {"neural", "patchib", "igcl"}
"""Systems that can't run on a data set without reports."""
READS_SLICES = {"clear"}
"""Systems that see CT slices; the others see radiographs."""
COHORT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
RESERVED = (
    "anatomy", "benchmarks", "config.yaml", "extraction", "forgetting", "logs", "provenance", "quarantine",
    "summary",
)  # fmt: skip
"""What else lies in results/."""


class RunSettings(Settings):
    """What one call of the workflow makes."""

    cohorts: list[str] = Field(default=["demo-mimic"], min_length=1)
    """Names of the cohorts (keys of `cohorts`) that the systems run on."""
    systems: list[System] = Field(default=["neural", "prunecxr", "patchib", "igcl", "clear"])
    """Systems to run; none makes the cohorts' tables, images and graphs alone. A cohort's own `systems` says which of
    them run on it."""


class Config(Settings):
    """Everything a user can set about the science; machines are described by profiles."""

    run: RunSettings = RunSettings()
    """What this call makes."""
    cohorts: dict[str, CohortSettings]
    """The data sets, by the name that their results folder gets."""
    acknowledge_dua: list[str] = Field(default=[])
    """Cohorts of credentialed data whose data use agreement you have signed and keep to. Without its name here nothing
    of such a cohort is read."""
    reports: ReportsSettings = ReportsSettings()
    """From report text to findings and graphs."""
    backbone: BackboneSettings = BackboneSettings()
    """The small image encoder that stands for published weights in the demonstration."""
    neural: NeuralSettings = NeuralSettings()
    """The system `neural`."""
    prunecxr: PruneCxrSettings = PruneCxrSettings()
    """The system `prunecxr`."""
    patchib: PatchibSettings = PatchibSettings()
    """The system `patchib`."""
    igcl: IgclSettings = IgclSettings()
    """The system `igcl`."""
    clear: ClearSettings = ClearSettings()
    """The system `clear`."""
    summary: SummarySettings = SummarySettings()
    """The comparison of all systems."""

    @field_validator("cohorts")
    @classmethod
    def _usable_names(cls, cohorts: dict[str, CohortSettings]) -> dict[str, CohortSettings]:
        for name in cohorts:
            if not COHORT_NAME.fullmatch(name) or name in RESERVED:
                raise ValueError(
                    f"{name!r} can't name a cohort: it becomes a folder beside {', '.join(RESERVED)}; use letters, "
                    "digits, '.', '_' and '-'"
                )
        return cohorts

    @model_validator(mode="after")
    def _systems_have_their_data(self) -> "Config":
        for name in self.run.cohorts:
            cohort = self.cohorts.get(name)
            if cohort is None:
                continue
            systems = systems_of(self, name)
            sliced = LAYOUTS[cohort.format].slices
            strange = [system for system in systems if (system in READS_SLICES) != sliced]
            if strange:
                seen, there = ("radiographs", "CT slices") if sliced else ("CT slices", "radiographs")
                raise ValueError(
                    f"{strange} see {seen}, and {name} ({cohort.format}) has {there}: say in cohorts.{name}.systems "
                    "which systems run on it"
                )
            borrows = self.igcl.pretrained_on.get(name, name) != name
            read = set(systems) & READS_REPORTS - ({"igcl"} if borrows else set())
            if read and not cohort.has_reports:
                lent = ", or name in igcl.pretrained_on a cohort whose encoders it takes" if "igcl" in read else ""
                raise ValueError(
                    f"{sorted(read)} read reports, and {name} ({cohort.format}) has none: name the folder or zip of "
                    f"its `reports` (MIMIC-CXR), or say in cohorts.{name}.systems which systems run on it{lent}"
                )
            if not systems and not cohort.image_sizes:
                raise ValueError(f"without a system nobody says how large images are: give {name} `image_sizes`")
            if cohort.has_reports and self.reports.extract.extractor == "radgraph-json" and not cohort.radgraph:
                raise ValueError(f"reports.extract.extractor is radgraph-json: give {name} its files as `radgraph`")
        return self

    @model_validator(mode="after")
    def _per_cohort_keys_name_cohorts(self) -> "Config":
        keys: dict[str, Collection[str]] = {
            "acknowledge_dua": self.acknowledge_dua,
            "prunecxr.published": self.prunecxr.published,
            "prunecxr.surveys": self.prunecxr.surveys,
            "summary.encoders_from": [*chain(self.summary.encoders_from, *self.summary.encoders_from.values())],
            "igcl.pretrained_on": [*self.igcl.pretrained_on, *self.igcl.pretrained_on.values()],
        }
        for key, named in keys.items():
            unknown = sorted(set(named) - set(self.cohorts))
            if unknown:
                raise ValueError(f"{key} names {unknown}; known cohorts: {sorted(self.cohorts)}")
        return self

    @model_validator(mode="after")
    def _igcl_starts_from_what_there_is(self) -> "Config":
        run = [name for name in self.run.cohorts if name in self.cohorts and "igcl" in systems_of(self, name)]
        require_lenders(self.igcl.pretrained_on, run)
        if run:
            seeds = {name: model.seeds for name, model in self.patchib.models.items()}
            require_models(self.igcl, seeds, self.patchib.data.image_size)
        return self

    @model_validator(mode="after")
    def _cohorts_exist(self) -> "Config":
        unknown = sorted(set(self.run.cohorts) - set(self.cohorts))
        if unknown:
            raise ValueError(f"run.cohorts names {unknown}; known cohorts: {sorted(self.cohorts)}")
        return self


def systems_of(config: Config, cohort: str) -> list[System]:
    """Return the systems of the run that run on a cohort: those it names, else all that see its kind of images."""
    about = config.cohorts[cohort]
    if about.systems is not None:
        return [system for system in config.run.systems if system in about.systems]
    sliced = LAYOUTS[about.format].slices
    return [system for system in config.run.systems if (system in READS_SLICES) == sliced]


def own_initialisations(config: Config, cohort: str) -> list[str]:
    """Return the initialisations of igcl that are encoders of their own: a model of patchib stands for itself."""
    compared = "patchib" in systems_of(config, cohort)
    named = config.igcl.transfer.initialisations
    return [name for name, about in named.items() if not (compared and about.weights == PATCHIB)]


def parse_config(raw: Mapping[str, Any]) -> Config:
    """Validate `raw`; raise UserError naming each bad key, its value, what is allowed, and a hint."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors(include_url=False)]
        raise UserError(
            "The configuration is not valid:\n" + "\n".join(lines),
            "every key, with its meaning and default, is described in workflow/schemas/config.schema.json.",
        ) from None


def plain_config(config: Config) -> dict[str, Any]:
    """Return the configuration with all defaults as plain types, ready for Snakemake's lookups."""
    return config.model_dump(mode="json")


def schema_text() -> str:
    """Return the JSON schema of the configuration, as kept in workflow/schemas."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


def _explain(problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location) or "(the whole file)"
    if problem["type"] == "extra_forbidden":
        allowed = sorted(_fields_at(problem["loc"][:-1]))
        close = difflib.get_close_matches(location[-1], allowed, n=1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        return f"  {key}: unknown key.{meant} Allowed here: {', '.join(allowed)}."
    if problem["type"] == "missing":
        return f"  {key}: this key is required and absent."
    found = problem["input"]
    shown = "" if isinstance(found, Mapping | BaseModel) else f" found {found!r};"
    return f"  {key}:{shown} {problem['msg']}."


def _fields_at(location: tuple[str | int, ...]) -> set[str]:
    """Return the keys that the model at `location` knows (empty where there is no model)."""
    annotation: Any = Config
    for part in location:
        model = _model_in(annotation)
        if model is not None and part in model.model_fields:
            annotation = model.model_fields[str(part)].annotation
        elif get_origin(annotation) in (dict, list, tuple):
            annotation = get_args(annotation)[-1]
    model = _model_in(annotation)
    return set(model.model_fields) if model is not None else set()


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType):
        return next((model for model in map(_model_in, get_args(annotation)) if model is not None), None)
    return None


def main() -> None:
    """Write the schema (used by `make schema`)."""
    from cxrflow.files import write_text

    write_text(Path("workflow/schemas/config.schema.json"), schema_text())


if __name__ == "__main__":
    main()
