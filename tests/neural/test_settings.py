"""The configuration says what does not fit together."""

import pytest
from pydantic import ValidationError

from cxrflow.neural.settings import NeuralSettings


def test_the_defaults_are_valid() -> None:
    assert NeuralSettings().pruning.percentiles[-1] == 100


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ({"data": {"image_size": 200}}, "multiple of 12"),
        ({"data": {"image_size": 156}}, "resnet_small takes"),
        ({"data": {"labels": ["Edema", "Edema"]}}, "only once"),
        ({"data": {"labels": []}}, "at least one"),
        ({"pruning": {"percentiles": [5, 2, 100]}}, "ascending"),
        ({"pruning": {"percentiles": [0, 100]}}, "above 0"),
        ({"pruning": {"percentiles": [2.3, 6.6, 25]}}, "end with 100"),
        ({"gallery": {"percentiles": [3, 25]}}, "not among"),
        ({"vlm": {"decoder": {"width": 190}}}, "heads"),
        ({"gnn": {"seeds": [1, 1]}}, "each once"),
        ({"data": {"uncertain": "maybe"}}, "ignore"),
        ({"data": {"uncertain": {"Edima": "one"}}}, "neither labels nor targets"),
        ({"vlm": {"epoch": 3}}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_is_named(block: dict, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        NeuralSettings.model_validate(block)


def test_the_published_settings_can_be_said() -> None:
    paper = {
        "data": {"image_size": 384, "labels": ["Pneumonia"]},
        "vlm": {
            "encoder": {"name": "swin_base_patch4_window12_384", "weights": "hub", "pooling": "mean"},
            "decoder": {"name": "/models/Clinical-T5-Base", "max_text_length": 256},
            "epochs": 5,
            "batch_size": 4,
            "accumulation": 16,
            "learning_rate_language": 2e-5,
            "learning_rate_vision": 2e-6,
            "schedule": "constant",
        },
    }
    assert NeuralSettings.model_validate(paper).vlm.encoder.weights == "hub"
