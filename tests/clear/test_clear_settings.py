"""What runs on which data, and which numbers a recipe stands for."""

from typing import Any

import pytest

from cxrflow.clear.pretraining_settings import PretrainingSettings
from cxrflow.config import parse_config, systems_of
from cxrflow.errors import UserError

SLICES = {"format": "deeplesion", "root": "/data/DeepLesion"}
RADIOGRAPHS = {"format": "nih", "root": "/data/nih"}


def config(cohort: dict[str, Any], *systems: str, **more: Any) -> dict[str, Any]:
    return {"run": {"cohorts": ["mine"], "systems": list(systems)}, "cohorts": {"mine": cohort}, **more}


@pytest.mark.parametrize(
    ("cohort", "system", "seen"),
    [
        (RADIOGRAPHS, "clear", "see CT slices, and mine (nih) has radiographs"),
        (SLICES, "prunecxr", "see radiographs, and mine (deeplesion) has CT slices"),
        (SLICES, "neural", "see radiographs, and mine (deeplesion) has CT slices"),
    ],
)
def test_a_system_on_images_that_it_does_not_see_is_an_error_that_says_what_to_do(
    cohort: dict[str, Any], system: str, seen: str
) -> None:
    with pytest.raises(UserError) as caught:
        parse_config(config({**cohort, "systems": [system]}, system))
    assert seen in str(caught.value)
    assert "cohorts.mine.systems" in str(caught.value)


def test_a_cohort_that_names_no_systems_takes_those_that_see_its_images() -> None:
    cohorts = {"slices": SLICES, "radiographs": {"format": "mimic-cxr-jpg", "root": "/data/m", "reports": "/data/r"}}
    asked = {"run": {"cohorts": list(cohorts), "systems": ["prunecxr", "clear"]}, "cohorts": cohorts}
    parsed = parse_config(asked)
    assert [systems_of(parsed, name) for name in cohorts] == [["clear"], ["prunecxr"]]


def test_clear_runs_on_slices() -> None:
    assert parse_config(config(SLICES, "clear")).run.systems == ["clear"]
    assert parse_config(config({**SLICES, "format": "slices"}, "clear")).run.systems == ["clear"]


def test_recipes_are_those_of_moco_v3_and_of_the_released_program_and_given_numbers_replace_them() -> None:
    nothing = {"momentum": None, "learning_rate": None}
    new, old = (PretrainingSettings(recipe=recipe, **nothing).numbers for recipe in ("moco_v3", "legacy"))  # type: ignore[arg-type]
    assert (new.temperature, new.momentum, new.momentum_schedule, new.weight_decay) == (0.2, 0.99, "cosine", 0.1)
    assert (old.temperature, old.momentum, old.momentum_schedule, old.weight_decay) == (1.0, 0.99, "constant", 1e-6)
    assert PretrainingSettings(recipe="legacy", temperature=0.5, weight_decay=0).numbers.temperature == 0.5
    assert PretrainingSettings(weight_decay=0).numbers.weight_decay == 0


def test_a_variant_names_a_folder() -> None:
    variants = {"a/b": {"sampling": "lesion"}}
    with pytest.raises(UserError, match="variants"):
        parse_config(config(SLICES, "clear", clear={"pretraining": {"variants": variants}}))
