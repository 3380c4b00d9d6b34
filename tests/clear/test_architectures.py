"""Encoders: the widths that the papers give, fixed places, and one vector per slice whatever the batch."""

import pytest
import torch
from pydantic import ValidationError

from cxrflow.clear.architectures import build
from cxrflow.clear.settings import ClearSettings
from cxrflow.clear.vit import places, rest_patches

torch.set_num_threads(1)

WIDTHS = {
    "vit_small": 384,
    "vit_conv_small": 384,
    "swin": 768,
    "mambaout": 576,
    "vmamba": 768,
    "vit_tiny": 96,
    "conv_small": 256,
}


@pytest.mark.parametrize("name", WIDTHS)
def test_an_encoder_gives_vectors_of_its_width_for_grey_slices(name: str) -> None:
    torch.manual_seed(0)
    encoder = build(name, 32).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        found = encoder(torch.rand(1, 1, 32, 32))
    assert encoder.width == WIDTHS[name]
    assert found.shape == (1, WIDTHS[name])
    assert torch.isfinite(found).all()


def test_published_sizes_have_the_published_layers() -> None:
    with torch.device("meta"):
        bases = {name: build(name, 224) for name in ("vit_conv_base", "vit_base", "mambaout_base", "swin_base")}
    assert {name: encoder.width for name, encoder in bases.items()} == {
        "vit_conv_base": 768,
        "vit_base": 768,
        "mambaout_base": 768,
        "swin_base": 1024,
    }
    names = set(bases["vit_conv_base"].network.state_dict())
    assert {"patch_embed.proj.12.weight", "blocks.10.mlp.fc2.bias", "pos_embed", "cls_token", "norm.weight"} <= names
    assert not any(name.startswith(("blocks.11.", "head.")) for name in names)


def test_places_are_told_apart_and_do_not_learn() -> None:
    found = places(4, 16)
    assert len(found.unique(dim=0)) == 16
    torch.testing.assert_close(found[5, :8], found[9, :8])  # the same column
    torch.testing.assert_close(found[5, 8:], found[6, 8:])  # the same row
    weights = dict(build("vit_tiny", 32).network.named_parameters())
    assert not weights["pos_embed"].requires_grad
    torch.testing.assert_close(weights["pos_embed"][0, 1:].detach(), places(2, 96))


def test_patches_rest_where_they_are_one_matrix() -> None:
    one, several = build("vit_tiny", 32).network, build("vit_conv_small", 32).network
    for network in (one, several):
        rest_patches(network)
    assert not one.get_parameter("patch_embed.proj.weight").requires_grad
    assert all(value.requires_grad for value in several.get_submodule("patch_embed").parameters())


def test_a_size_that_an_encoder_can_not_see_is_an_error_in_the_configuration() -> None:
    settings = {"data": {"image_size": 48, "slice_size": 64}, "pretraining": {"architecture": "vmamba"}}
    with pytest.raises(ValidationError, match="divisible by 32"):
        ClearSettings.model_validate(settings)
    with pytest.raises(ValidationError, match=r"at least data\.image_size"):
        ClearSettings.model_validate({"data": {"image_size": 64, "slice_size": 32}})
    with pytest.raises(ValidationError, match="no slice counts as a key slice"):
        ClearSettings.model_validate({"pretraining": {"variants": {"x": {"sampling": "none", "sample_weight": 1}}}})
