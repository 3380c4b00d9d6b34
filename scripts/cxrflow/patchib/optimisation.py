"""Which parameters learn in which phase, and how fast: each is in exactly one group."""

from collections.abc import Iterator

import torch
from torch import nn

from cxrflow.patchib.model import PatchModel
from cxrflow.patchib.settings import TrainingSettings

TOWER_BODIES = ("towers.trunk.", "towers.bert.")


def head_parameters(model: PatchModel) -> list[str]:
    """Return the names of what learns while both towers are frozen: projections, temperature, new modules.

    In the released code the projections stay frozen as well, so that model A learns its temperature alone.
    """
    if model.settings.frozen:
        return ["towers.logit_scale"]
    return [name for name, _ in model.named_parameters() if not name.startswith(TOWER_BODIES)]


def all_parameters(model: PatchModel, frozen_patch_embedding: bool = False) -> list[str]:
    """Return the names of everything that learns in the second phase, which a frozen model does not have."""
    kept = "towers.trunk.patch_embed." if frozen_patch_embedding else None
    return [name for name, _ in model.named_parameters() if kept is None or not name.startswith(kept)]


def freeze_others(model: nn.Module, learning: list[str]) -> None:
    """Let only the named parameters learn."""
    chosen = set(learning)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)


def depth_of(model: PatchModel, name: str) -> tuple[int, int]:
    """Return how deep below the top a parameter lies, from 0, and the depth of the embeddings of its tower.

    Blocks count down from the tower's last one; what is above them, and every new module, is at the top.
    """
    parts = name.split(".")
    layers = {"trunk": len(model.towers.trunk.blocks), "bert": len(model.towers.bert.encoder.layer)}
    if not name.startswith(TOWER_BODIES):
        return 0, 0
    count = layers[parts[1]]
    if "blocks" in parts or "layer" in parts:
        number = int(parts[parts.index("blocks" if "blocks" in parts else "layer") + 1])
        return count - 1 - number, count
    top = parts[2] in ("norm", "fc_norm")
    return (0 if top else count), count


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Return whether a parameter has weight decay: matrices do; biases, norms, tokens and the temperature do not."""
    return parameter.ndim > 1 and not name.endswith(("cls_token", "pos_embed", "position_embeddings.weight"))


def parameter_groups(model: PatchModel, learning: list[str], rate: float, settings: TrainingSettings) -> list[dict]:
    """Return AdamW's groups: two per depth (with and without weight decay), rate x layer_decay^depth.

    The released code gives biases and norms of every depth the full rate.
    """
    named = dict(model.named_parameters())
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name in learning:
        key = (depth_of(model, name)[0], decays(name, named[name]))
        groups.setdefault(key, []).append(named[name])
    return [
        {
            "params": parameters,
            "lr": rate * settings.layer_decay**depth,
            "weight_decay": settings.weight_decay if decayed else 0.0,
        }
        for (depth, decayed), parameters in sorted(groups.items())
    ]


def optimiser_of(model: PatchModel, learning: list[str], rate: float, settings: TrainingSettings) -> torch.optim.AdamW:
    """Freeze what does not learn and return the optimiser of all that does."""
    freeze_others(model, learning)
    optimiser = torch.optim.AdamW(parameter_groups(model, learning, rate, settings), fused=True)
    held = sum(len(group["params"]) for group in optimiser.param_groups)
    if held != sum(1 for _ in _trainable(model)):
        raise RuntimeError("a parameter that learns is in no group of the optimiser, or in two")
    return optimiser


def _trainable(model: nn.Module) -> Iterator[nn.Parameter]:
    return (parameter for parameter in model.parameters() if parameter.requires_grad)
