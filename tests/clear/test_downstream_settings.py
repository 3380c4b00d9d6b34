"""Names, seeds and choices after pretraining fit together, or the error says what does not."""

import pytest
from pydantic import ValidationError

from cxrflow.clear.downstream_settings import AggregationSettings, DownstreamSettings
from cxrflow.clear.settings import ClearSettings


def test_a_pretrained_encoder_is_a_variant_of_pretraining() -> None:
    ClearSettings.model_validate({"downstream": {"encoders": {"mine": {"source": "pretrained", "name": "moco"}}}})
    with pytest.raises(ValidationError, match="no variant of pretraining"):
        ClearSettings.model_validate({"downstream": {"encoders": {"lecl-2": {"source": "pretrained"}}}})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"aggregators": ["mean", "mean"]}, "only once"),
        ({"fractions": [0.5, 0.5]}, "only once"),
        ({"aggregators": ["pma"], "hidden": 30}, "multiple of the 4 heads"),
        ({"fractions": [0.0]}, "greater than 0"),
        ({"folds": 1}, "greater than or equal to 2"),
    ],
)
def test_choices_that_make_no_sense_are_errors(bad: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AggregationSettings.model_validate(bad)


def test_names_become_folders() -> None:
    with pytest.raises(ValidationError, match="can't be a name"):
        DownstreamSettings.model_validate({"encoders": {"a/b": {"source": "scratch"}}})
