"""Encoders that start from the backbone are its residual network, and no other."""

from pathlib import Path

import pytest
import torch

from cxrflow.classification.classifier import SmallClassifier
from cxrflow.errors import UserError
from cxrflow.igcl.image_encoders import build_image_encoder
from cxrflow.igcl.settings import ImageEncoderSettings
from cxrflow.neural.encoders import build_encoder
from cxrflow.neural.settings import EncoderSettings
from cxrflow.weights import save_weights

WIDTHS = (16, 24)


@pytest.fixture
def backbone(tmp_path: Path) -> tuple[SmallClassifier, Path]:
    """Return a classifier and the file that it was saved to."""
    torch.manual_seed(3)
    classifier = SmallClassifier(5, WIDTHS).eval()
    save_weights(classifier, tmp_path / "weights.safetensors")
    return classifier, tmp_path / "weights.safetensors"


def test_patches_of_neural_are_the_places_of_the_backbone(backbone: tuple[SmallClassifier, Path]) -> None:
    classifier, file = backbone
    encoder = build_encoder(EncoderSettings(widths=WIDTHS, weights="backbone"), 192, file).eval()
    images = torch.rand(2, 1, 192, 192)
    assert encoder(images).shape == (2, 144, 24)
    torch.testing.assert_close(encoder(images), classifier.body(images))


def test_other_widths_are_a_users_error_that_names_both_keys(backbone: tuple[SmallClassifier, Path]) -> None:
    _, file = backbone
    with pytest.raises(UserError, match=r"neural.vlm.encoder[\s\S]*backbone.network.widths"):
        build_encoder(EncoderSettings(widths=(16, 32), weights="backbone"), 192, file)
    with pytest.raises(UserError, match=r"igcl.image_encoder[\s\S]*backbone.network.widths"):
        build_image_encoder(ImageEncoderSettings(widths=(16, 32), weights="backbone"), 192, file)
