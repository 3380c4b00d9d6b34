"""Where the encoders of classifiers come from: a name in the configuration, a source of weights."""

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from cxrflow.errors import UserError
from cxrflow.igcl.classifiers import Projected
from cxrflow.igcl.image_encoders import SmallEncoder, TimmEncoder, build_image_encoder
from cxrflow.igcl.settings import ImageEncoderSettings

PRETRAINED = "pretrained"
_ENCODER, _PROJECTION = "image.", "image_projection.weight"


@dataclass(frozen=True)
class Source:
    """`weights` as in transfer.initialisations, with the file of this system's pretraining or of the backbone where
    they are asked for."""

    weights: str | None
    pretrained: Path | None = None
    backbone: Path | None = None

    def facts(self) -> dict[str, str | None]:
        """Return what it is called; `files` say what it holds."""
        return {"weights": self.weights}

    def files(self) -> list[Path]:
        """Return the files that it stands for."""
        named = Path(self.weights) if self.weights is not None else None
        files = [self.pretrained, self.backbone, named if named is not None and named.is_file() else None]
        return [file for file in files if file is not None]


def encoder_of(
    source: Source, settings: ImageEncoderSettings, image_size: int, features: str
) -> SmallEncoder | TimmEncoder | Projected:
    """Return an encoder with the weights of a source; from scratch, those that torch's generator draws."""
    weights = None if source.weights == PRETRAINED else source.weights
    encoder = build_image_encoder(settings.model_copy(update={"weights": weights}), image_size, source.backbone)
    if source.weights != PRETRAINED:
        return encoder
    assert source.pretrained is not None  # a rule that asks for it gives it
    state = load_file(source.pretrained)
    own = {name.removeprefix(_ENCODER): value for name, value in state.items() if name.startswith(_ENCODER)}
    try:
        encoder.load_state_dict(own)
    except RuntimeError as error:
        raise UserError(
            f"{source.pretrained} does not fit igcl.image_encoder ({settings.name}).",
            "It was pretrained with other settings: delete it and run again.",
        ) from error
    return encoder if features == "pooled" else _projected(encoder, state[_PROJECTION])


def _projected(encoder: SmallEncoder | TimmEncoder, weight: Tensor) -> Projected:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.load_state_dict({"weight": weight})
    return Projected(encoder, linear)
