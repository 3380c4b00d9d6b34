"""The trained backbone as an encoder."""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

_BODY = "body."


def backbone_state(weights: Path) -> dict[str, Tensor]:
    """Return the state of the trained residual network (networks.SmallResNet), without the classifier on it."""
    state = load_file(weights)
    return {name.removeprefix(_BODY): value for name, value in state.items() if name.startswith(_BODY)}
