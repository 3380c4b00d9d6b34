"""The trained backbone as an encoder."""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from cxrflow.errors import UserError
from cxrflow.networks import SmallResNet

_BODY = "body."


def load_backbone(body: SmallResNet, weights: Path | None, key: str) -> None:
    """Give a residual network the trained backbone's weights; raise UserError where their sizes differ.

    `key` is where the configuration describes the network, as told in errors.
    """
    if weights is None:
        raise ValueError(f"{key} starts from the backbone, whose file is not given")
    try:
        body.load_state_dict(backbone_state(weights))
    except RuntimeError as error:
        raise UserError(
            f"{weights} does not fit the residual network that {key} describes.",
            f"Give {key}.widths and backbone.network.widths the same numbers, and leave backbone.network.name.",
        ) from error


def backbone_state(weights: Path) -> dict[str, Tensor]:
    """Return the state of the trained residual network (networks.SmallResNet), without the classifier on it."""
    state = load_file(weights)
    return {name.removeprefix(_BODY): value for name, value in state.items() if name.startswith(_BODY)}
