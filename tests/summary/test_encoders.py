"""Trained encoders of every system become vectors of images, whatever size these have."""

import numpy as np
import pandas as pd
import pytest
import torch

from cxrflow.classification.classifier import build_classifier
from cxrflow.classification.settings import NetworkSettings
from cxrflow.cohort.store import ImageStore
from cxrflow.errors import UserError
from cxrflow.igcl.image_encoders import SmallEncoder
from cxrflow.neural.encoders import build_encoder
from cxrflow.neural.settings import EncoderSettings
from cxrflow.summary.embedding import embed
from cxrflow.summary.encoders import SizedEncoder, Trained, build
from cxrflow.summary.feature_sources import embedded
from cxrflow.summary.settings import SummarySettings
from cxrflow.weights import save_weights

NETWORK = NetworkSettings(widths=(16, 24))
ABOUT = {"data": {"image_size": 32}, "network": NETWORK.model_dump()}


class Whole(torch.nn.Module):
    """A model of which the encoder is a part."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.rest = encoder, torch.nn.Linear(2, 2)


@pytest.fixture
def classifier(tmp_path):
    torch.manual_seed(1)
    network = build_classifier(NETWORK, 5)
    save_weights(network, tmp_path / "classifier.safetensors")
    return network.eval(), Trained("classifier", 0, tmp_path / "classifier.safetensors")


def test_a_classifier_is_read_up_to_its_last_layer(classifier):
    network, trained = classifier
    images = torch.rand(3, 1, 32, 32)
    with torch.no_grad():
        found, places = build("prunecxr", trained, ABOUT)(images), network.body(images)
    assert torch.allclose(found, torch.cat([places.mean(dim=1), places.amax(dim=1)], dim=1))


def test_images_of_another_size_are_resampled_to_the_encoders():
    seen = SizedEncoder(torch.nn.Identity(), 32)
    slope = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    assert seen(slope).shape == (1, 1, 32, 32)
    assert torch.allclose(seen(slope).mean(), slope.mean(), atol=1e-3)
    assert torch.equal(seen(slope[..., :32, :32]), slope[..., :32, :32])


def test_the_encoder_of_a_larger_model_is_found_in_its_weights(tmp_path):
    settings = EncoderSettings(widths=(16,), weights=None)
    own = build_encoder(settings, 48)
    save_weights(Whole(own), tmp_path / "model.safetensors")
    about = {"data": {"image_size": 48}, "encoder": settings.model_dump()}
    found = build("neural", Trained("whole radiograph", 0, tmp_path / "model.safetensors"), about).network
    assert all(torch.equal(one, found.body.state_dict()[name]) for name, one in own.state_dict().items())


def test_weights_of_another_encoder_are_an_error_that_names_them(classifier):
    other = {**ABOUT, "network": NetworkSettings(widths=(16, 32)).model_dump()}
    with pytest.raises(UserError, match=r"classifier\.safetensors does not fit"):
        build("prunecxr", classifier[1], other)


def test_an_encoder_from_scratch_is_that_of_its_seed():
    image = {"name": "resnet_small", "widths": [16, 24], "weights": None}
    about = {
        "data": {"image_size": 32},
        "image": image,
        "features": "pooled",
        "towers": "",
        "initialisations": {"s": {"weights": None}},
    }
    torch.manual_seed(4)
    expected = SmallEncoder((16, 24)).state_dict()
    found = build("igcl", Trained("s", 4, None), about).network.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_features_of_all_images_and_costs_are_written_seed_by_seed(classifier, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 32, 32), dtype=np.uint8)
    ids = [f"i{number}" for number in range(7)]
    store = ImageStore(pixels, pd.DataFrame({"image_id": ids, "row": range(7)}))
    trained = [Trained("classifier", seed, classifier[1].weights) for seed in (0, 1)]
    outputs = (tmp_path / "features.npz", tmp_path / "cost.parquet")
    embed("prunecxr", trained, ABOUT, store, *outputs, SummarySettings(batch_size=3, cost_batch=2), 1)
    sources = list(embedded("prunecxr", "here", outputs[0]))
    assert [source.name.encoder for source in sources] == ["classifier", "classifier"]
    with torch.no_grad():
        expected = build("prunecxr", trained[0], ABOUT)(torch.from_numpy(pixels[[5]]).unsqueeze(1).float() / 255)
    assert sources[0].read(["i5"]) == pytest.approx(expected.numpy(), rel=2e-3, abs=2e-3)
    assert sources[0].bytes_per_image() == 2 * expected.shape[1]
    cost = pd.read_parquet(outputs[1])
    assert cost["encoder"].tolist() == ["classifier"]
    assert (cost[["macs", "parameters", "images_per_s", "peak_bytes"]] > 0).all(axis=None)
