"""The configuration of the graphs says what does not fit together, and can say what was published."""

import pytest
from pydantic import ValidationError

from cxrflow.igcl.graph_settings import GraphEncoderSettings, GraphSettings


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ({"width": 512, "heads": 3}, "heads"),
        ({"architecture": "gat", "width": 15, "heads": 2}, "heads"),
        ({"architecture": "gin"}, "dracon"),
        ({"dropout": 1.0}, "less than 1"),
        ({"layers": 2}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_is_named(block: dict, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        GraphEncoderSettings.model_validate(block)


def test_the_published_settings_can_be_said() -> None:
    graphs = {"text_encoder": "bert-base-uncased", "text_precision": "fp32", "transform": "reaction", "gate": "legacy"}
    assert GraphSettings.model_validate(graphs).gate == "legacy"
    assert GraphEncoderSettings.model_validate({"width": 512, "heads": 2, "fc_layers": 1}).fc_layers == 1
