"""Weights on disk: safetensors only, whole or not at all."""

from pathlib import Path

from torch import Tensor, nn

from cxrflow.errors import UserError
from cxrflow.files import atomic_path

CLASSIFIERS = ("head.", "fc.", "classifier.")


def save_weights(model: nn.Module, path: Path) -> None:
    """Write a model's weights as safetensors; a tensor that has several names is written under the first of them."""
    from safetensors.torch import save_file

    state = model.state_dict()
    with atomic_path(path) as temporary:
        save_file({name: state[name].detach().cpu().contiguous() for name in _first_names(state)}, str(temporary))


def load_weights(model: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote; raise RuntimeError where it is of another model."""
    from safetensors.torch import load_file

    found = load_file(path)
    expected = _first_names(model.state_dict())
    if set(found) != set(expected):
        raise RuntimeError(f"{path} holds {len(found)} tensors, the model has {len(expected)} of other names")
    model.load_state_dict(found, strict=False)


def part_of_weights(path: Path, prefix: str) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file whose names begin with `prefix`, without it."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as tensors:
        names = [name for name in tensors.keys() if name.startswith(prefix)]  # noqa: SIM118 (it is no mapping)
        return {name.removeprefix(prefix): tensors.get_tensor(name) for name in names}


def load_published(module: nn.Module, weights: str, key: str) -> None:
    """Load safetensors weights; the classifier that a published file carries is left out, nothing else may differ.

    `key` is where the configuration names the file, as told in errors.
    """
    from safetensors.torch import load_file

    path = Path(weights)
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise UserError(
            f"{key} names {weights}, and there is no such safetensors file.",
            "Give the file itself or the folder with model.safetensors, or null to train from scratch.",
        )
    found = {name: tensor for name, tensor in load_file(file).items() if not name.startswith(CLASSIFIERS)}
    missing, strange = module.load_state_dict(found, strict=False)
    missing = [name for name in missing if not name.startswith(CLASSIFIERS)]
    if missing or strange:
        raise UserError(
            f"{file} does not fit the encoder: {len(missing)} of its weights are missing, {len(strange)} are unknown "
            f"(e.g. {(missing + strange)[:3]}).",
            "Take the weights of exactly the named model, in timm's naming.",
        )


def _first_names(state: dict[str, Tensor]) -> list[str]:
    """Return one name per tensor: T5 knows its embedding under three (safetensors' own choice varies by run)."""
    first: dict[int, str] = {}
    for name in sorted(state):
        first.setdefault(state[name].data_ptr() if state[name].numel() else id(state[name]), name)
    return sorted(first.values())
