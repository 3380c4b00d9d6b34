"""Every parameter that learns is in one group; upper layers learn faster; norms and biases do not decay."""

import pytest
import torch
from tests.patchib.conftest import made

from cxrflow.patchib.model import PatchModel
from cxrflow.patchib.optimisation import all_parameters, depth_of, head_parameters, optimiser_of, parameter_groups
from cxrflow.patchib.settings import LocalSettings, MaskSettings, ModelSettings, TrainingSettings

SETTINGS = TrainingSettings(layer_decay=0.5, learning_rate=1.0)
MODELS = {
    "0": ModelSettings(frozen=True),
    "A": ModelSettings(),
    "C": ModelSettings(local=LocalSettings(heads=2), mask=MaskSettings(kind="threshold")),
    "E": ModelSettings(local=LocalSettings(kind="filip"), mask=MaskSettings(kind="token_drop", drop_layer=1)),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("phase", [head_parameters, all_parameters])
def test_what_learns_is_in_exactly_one_group(name: str, phase: object, folder: str) -> None:
    model = made(folder, MODELS[name])
    learning = phase(model)  # type: ignore[operator]
    optimiser = optimiser_of(model, learning, 1.0, SETTINGS)
    held = [id(parameter) for group in optimiser.param_groups for parameter in group["params"]]
    trainable = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert len(held) == len(set(held))
    assert set(held) == trainable
    sizes = sum(parameter.numel() for group in optimiser.param_groups for parameter in group["params"])
    assert sizes == sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def test_a_frozen_model_learns_its_temperature_alone(folder: str) -> None:
    assert head_parameters(made(folder, MODELS["0"])) == ["towers.logit_scale"]


def test_the_patch_embedding_may_be_left_as_it_is(folder: str) -> None:
    model = made(folder, MODELS["A"])
    left = set(all_parameters(model)) - set(all_parameters(model, frozen_patch_embedding=True))
    assert left == {name for name, _ in model.named_parameters() if ".patch_embed." in name}
    assert left


def test_projections_and_new_modules_learn_first_and_no_tower_does(folder: str) -> None:
    names = head_parameters(made(folder, MODELS["C"]))
    for start in ("towers.image_projection", "towers.text_projection", "towers.logit_scale", "scorer", "local"):
        assert any(name.startswith(start) for name in names)
    assert not any(name.startswith(("towers.trunk.", "towers.bert.")) for name in names)


def test_rates_fall_from_the_top_by_layer(folder: str) -> None:
    model = made(folder, MODELS["C"])
    rates = rate_by_name(model)
    assert rates["towers.image_projection.proj.weight"] == 1.0
    assert rates["local.patch_projection.weight"] == 1.0
    assert rates["towers.trunk.norm.weight"] == 1.0
    assert rates["towers.trunk.blocks.1.mlp.fc1.weight"] == 1.0
    assert rates["towers.trunk.blocks.0.mlp.fc1.bias"] == 0.5
    assert rates["towers.trunk.pos_embed"] == 0.25
    assert rates["towers.bert.encoder.layer.0.output.dense.weight"] == 0.5
    assert rates["towers.bert.embeddings.word_embeddings.weight"] == 0.25


def test_published_layers_get_the_published_rates() -> None:
    """Twelve layers, factor 0.85, peak 1e-5: embeddings 1.42e-6, layer 0 1.67e-6, layer 11 1e-5."""
    rates = [1e-5 * 0.85**depth for depth in (12, 11, 0)]
    assert rates == pytest.approx([1.42e-6, 1.67e-6, 1e-5], rel=0.005)


def test_matrices_decay_and_nothing_else(folder: str) -> None:
    model = made(folder, MODELS["C"])
    groups = parameter_groups(model, all_parameters(model), 1.0, SETTINGS)
    decayed = {id(p) for group in groups for p in group["params"] if group["weight_decay"] > 0}
    for name, parameter in model.named_parameters():
        plain = parameter.ndim < 2 or name.endswith(("cls_token", "pos_embed", "position_embeddings.weight"))
        assert (id(parameter) in decayed) is not plain, name


def rate_by_name(model: PatchModel) -> dict[str, float]:
    """The learning rate of every parameter."""
    groups = parameter_groups(model, all_parameters(model), 1.0, SETTINGS)
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    return {name: rates[id(parameter)] for name, parameter in model.named_parameters()}


def test_depths_are_counted_in_each_tower(folder: str) -> None:
    model = made(folder, MODELS["A"])
    assert depth_of(model, "towers.trunk.blocks.1.norm1.weight") == (0, 2)
    assert depth_of(model, "towers.bert.embeddings.LayerNorm.weight") == (2, 2)
    assert torch.is_tensor(model.towers.trunk.pos_embed)
