"""Where the encoders of classifiers come from: a name in the configuration, a source of weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file
from torch import Tensor, nn

from cxrflow.errors import UserError
from cxrflow.igcl.classifiers import Projected
from cxrflow.igcl.image_encoders import ImageEncoder, build_image_encoder
from cxrflow.igcl.settings import ImageEncoderSettings
from cxrflow.igcl.transfer_settings import PATCHIB, PRETRAINED, InitialisationSettings

if TYPE_CHECKING:
    from cxrflow.towers import ImageTower

_ENCODER, _PROJECTION = "image.", "image_projection.weight"
_TOWERS = "towers."


@dataclass(frozen=True)
class Source:
    """An initialisation as configured, with the file of its weights where the workflow makes them; `towers` is the
    folder or hub name of patchib's towers, for an image tower of one of its models."""

    about: InitialisationSettings
    made: Path | None = None
    towers: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what it is called; `files` say what it holds."""
        return {**self.about.model_dump(mode="json"), "towers": self.towers}

    def files(self) -> list[Path]:
        """Return the files that it stands for."""
        named = Path(self.about.weights) if self.about.weights is not None else None
        return [file for file in (self.made, named) if file is not None and file.is_file()]


class TowerEncoder(ImageEncoder):
    """The image tower of a model that was pretrained on radiographs and texts: the state of the whole image, with the
    map into the common space on it or without, not brought to unit length. Masks of the model play no part."""

    def __init__(self, tower: "ImageTower", projected: bool) -> None:
        super().__init__()
        self.tower, self.projected = tower, projected
        self.width = tower.embedding if projected else tower.width

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, width) of images (B, 1, S, S) in 0..1."""
        state = self.tower.last_tokens(images)[:, 0]
        return self.tower.image_projection(state) if self.projected else state


def encoder_of(source: Source, settings: ImageEncoderSettings, image_size: int, features: str) -> ImageEncoder:
    """Return an encoder with the weights of a source; from scratch, those that torch's generator draws.

    The parts of a grid are told apart by the map into the common space, so an encoder without one has one part.
    """
    about = source.about
    if about.weights == PATCHIB:
        return TowerEncoder(_image_tower(source, image_size), features == "projected")
    if about.weights == PRETRAINED:
        return _pretrained(source, settings, image_size, features)
    own = {"weights": about.weights, "name": about.network or settings.name, "grid": 1}
    return build_image_encoder(settings.model_copy(update=own), image_size, source.made)


def _pretrained(source: Source, settings: ImageEncoderSettings, image_size: int, features: str) -> ImageEncoder:
    encoder = build_image_encoder(settings.model_copy(update={"weights": None}), image_size)
    state = _made(source)
    own = {name.removeprefix(_ENCODER): value for name, value in state.items() if name.startswith(_ENCODER)}
    _fill(encoder, own, source, f"igcl.image_encoder ({settings.name})")
    return encoder if features == "pooled" else _projected(encoder, state[_PROJECTION])


def _image_tower(source: Source, image_size: int) -> "ImageTower":
    from cxrflow.towers import build_image_tower

    tower = build_image_tower(source.towers, image_size, "igcl.data.image_size")
    named = {name.removeprefix(_TOWERS): value for name, value in _made(source).items() if name.startswith(_TOWERS)}
    known = tower.state_dict()
    _fill(tower, {name: value for name, value in named.items() if name in known}, source, "patchib.towers")
    return tower


def _made(source: Source) -> dict[str, Tensor]:
    assert source.made is not None  # a rule that asks for it gives it
    return load_file(source.made)


def _fill(network: nn.Module, state: dict[str, Tensor], source: Source, key: str) -> None:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"{source.made} does not fit {key}.", "It was made with other settings: delete it and run again."
        ) from error


def _projected(encoder: ImageEncoder, weight: Tensor) -> Projected:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.load_state_dict({"weight": weight})
    return Projected(encoder, linear)
