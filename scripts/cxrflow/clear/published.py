"""Checkpoints of the released program (.pth.tar): the encoder among MoCo's parts, without its projector."""

from pathlib import Path

import torch
from torch import Tensor

from cxrflow.clear.architecture_names import Architecture
from cxrflow.clear.architectures import SliceEncoder, build
from cxrflow.clear.encoder_files import fill
from cxrflow.errors import UserError

BASE = "module.base_encoder."
PROJECTORS = ("head.", "classifier.head.")


def read_published(path: Path, architecture: Architecture, image_size: int) -> SliceEncoder:
    """Return the encoder of a checkpoint; raise UserError where the file or its weights are not of this encoder."""
    encoder = build(architecture, image_size)
    weights = base_weights(path)
    if architecture.startswith("mambaout"):
        weights = _in_timm_names(weights)
    fill(encoder.network, weights, path)
    return encoder


def base_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights of a checkpoint's base encoder without its projector; nothing but tensors is unpickled."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        state = checkpoint["state_dict"]
    except Exception as error:
        raise UserError(
            f"{path} can't be read as a checkpoint with a `state_dict`: {type(error).__name__}.",
            "name a .pth.tar that CLEAR's program wrote; one that needs more than tensors and numbers is not opened.",
        ) from error
    names = {name: name.removeprefix(BASE) for name in state if name.startswith(BASE)}
    found = {short: state[name] for name, short in names.items() if not short.startswith(PROJECTORS)}
    if not found:
        raise UserError(
            f"{path} has no weights named {BASE}*, only {', '.join(sorted(state)[:3])}.",
            "name the checkpoint itself, before it is converted for another program.",
        )
    return found


def _in_timm_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return MambaOut's weights under the names that timm gives them."""
    from timm.models.mambaout import checkpoint_filter_fn

    return checkpoint_filter_fn(weights, None)
