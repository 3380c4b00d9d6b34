"""Pretrained encoders of slices on disk: safetensors that tell which architecture they are of, and for which slices."""

import hashlib
import json
from pathlib import Path

from torch import Tensor, nn

from cxrflow.clear.architecture_names import Architecture
from cxrflow.clear.architectures import SliceEncoder, build
from cxrflow.errors import UserError
from cxrflow.files import atomic_path

ABOUT = "encoder"
"""The one entry of the file's metadata: several would be written in another order each time."""


def write_encoder(path: Path, encoder: SliceEncoder, architecture: Architecture, image_size: int, mode: str) -> None:
    """Write the network alone, under timm's names, with what it is and the digest of its weights."""
    from safetensors.torch import save_file

    weights = {name: value.detach().cpu().contiguous() for name, value in encoder.network.state_dict().items()}
    about = {
        "architecture": architecture,
        "image_size": image_size,
        "width": encoder.width,
        "mode": mode,
        "sha256": digest(weights),
    }
    with atomic_path(path) as temporary:
        save_file(weights, str(temporary), metadata={ABOUT: json.dumps(about)})


def read_encoder(path: Path) -> SliceEncoder:
    """Return the encoder of a file that `write_encoder` wrote; raise UserError where it is another file, or damaged."""
    from safetensors.torch import load_file

    about = encoder_facts(path)
    encoder, weights = build(about["architecture"], about["image_size"]), load_file(path)
    fill(encoder.network, weights, path)
    if digest(weights) != about["sha256"]:
        raise UserError(f"The weights in {path} are not those that were written.", "copy the file again.")
    return encoder


def encoder_facts(path: Path) -> dict:
    """Return what a file says of its encoder: architecture, image_size, width, mode, sha256."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = (file.metadata() or {}).get(ABOUT)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} can't be read as safetensors.", "name a file that is there and whole.") from error
    if about is None:
        raise UserError(f"{path} does not say what encoder it holds.", "name a file that clear's pretraining wrote.")
    return json.loads(about)


def fill(network: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Give a network its weights; raise UserError where a name or a shape differs."""
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if found != expected:
        unlike = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        raise UserError(
            f"{path} does not fit the encoder: {len(unlike)} of {len(expected)} weights are missing, unknown or of "
            f"another shape, e.g. {', '.join(unlike[:3])}.",
            "the architecture and the image size must be those that it was trained with.",
        )
    network.load_state_dict(weights)


def digest(weights: dict[str, Tensor]) -> str:
    """Return the SHA-256 of tensors with their names, types and shapes."""
    found = hashlib.sha256()
    for name, value in sorted(weights.items()):
        found.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        found.update(value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
