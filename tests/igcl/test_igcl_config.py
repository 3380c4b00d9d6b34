"""What the configuration of igcl has to fit: encoders of other cohorts, models of patchib, the published settings."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cxrflow.config import Config, parse_config
from cxrflow.errors import UserError

MIMIC = {"format": "mimic-cxr-jpg", "root": "/data/jpg", "reports": "/data/reports"}
CHEXPERT = {"format": "chexpert", "root": "/data/chexpert"}
COHORTS = {"mimic": MIMIC, "chexpert": CHEXPERT}


def parsed(igcl: dict[str, Any], run: list[str], **changes: Any) -> Config:
    return parse_config({"run": {"cohorts": run, "systems": ["igcl"]}, "cohorts": COHORTS, "igcl": igcl, **changes})


def test_a_cohort_without_reports_takes_the_encoders_of_one_that_has_some() -> None:
    config = parsed({"pretrained_on": {"chexpert": "mimic"}}, ["mimic", "chexpert"])
    assert config.igcl.pretrained_on == {"chexpert": "mimic"}


def test_a_cohort_that_is_not_run_is_asked_for_nothing() -> None:
    parsed({"pretrained_on": {"chexpert": "mimic"}}, ["mimic"])


@pytest.mark.parametrize(
    ("lent", "run", "complaint"),
    [
        ({}, ["chexpert"], "igcl.pretrained_on a cohort whose encoders it takes"),
        ({"chexpert": "mimic"}, ["chexpert"], "on which igcl does not run"),
        ({"chexpert": "chexpert"}, ["chexpert"], "igcl.pretrained_on a cohort whose encoders it takes"),
        ({"chexpert": "mimik"}, ["mimic", "chexpert"], "igcl.pretrained_on names ['mimik']"),
        ({"chexpert": "mimic", "mimic": "chexpert"}, ["mimic", "chexpert"], "which takes them itself"),
    ],
)
def test_an_encoder_that_nobody_pretrains_is_an_error_with_a_hint(
    lent: dict[str, str], run: list[str], complaint: str
) -> None:
    with pytest.raises(UserError) as caught:
        parsed({"pretrained_on": lent}, run)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("about", "sizes", "complaint"),
    [
        ({"model": "Z"}, (192, 192), "patchib's model 'Z', seed 0"),
        ({"seed": 7}, (192, 192), "seed 7"),
        ({}, (224, 192), "patchib, which sees 192 px, and igcl 224 px"),
        ({"network": "resnet18"}, (192, 192), "brings its own network"),
    ],
)
def test_a_model_of_patchib_that_there_is_not_is_an_error(
    about: dict[str, Any], sizes: tuple[int, int], complaint: str
) -> None:
    initialisations = {"image-text": {"weights": "patchib", **about}, "scratch": {"weights": None}}
    igcl = {"data": {"image_size": sizes[0]}, "transfer": {"initialisations": initialisations}}
    with pytest.raises(UserError, match=complaint):
        parsed(igcl, ["mimic"], patchib={"data": {"image_size": sizes[1]}})


def test_the_paper_preset_says_what_was_published(root: Path) -> None:
    preset = yaml.safe_load((root / "workflow/presets/paper.yaml").read_text())
    found = parse_config({"run": {"cohorts": ["mimic"]}, "cohorts": COHORTS, **preset}).igcl
    assert (found.data.image_size, found.image_encoder.name) == (224, "vit_base_patch32_clip_224.openai")
    assert (found.graph_encoder.width, found.graph_encoder.convolutions, found.graph_encoder.heads) == (512, 2, 2)
    pretraining = found.pretraining
    assert (pretraining.batch_size, pretraining.epochs, pretraining.frozen_batches) == (250, 10, 20)
    assert (pretraining.learning_rate, pretraining.image_rate, pretraining.schedule) == (1e-3, 1, "constant")
    assert found.transfer.finetuning is not None
    assert found.transfer.finetuning.fractions == (0.001, 0.01, 0.1, 1.0)
    assert len(found.transfer.finetuning.seeds) == 10
