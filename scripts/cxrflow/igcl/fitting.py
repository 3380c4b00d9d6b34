"""Whether what is said about `igcl` fits the cohorts that are run and the models of `patchib`."""

from collections.abc import Collection, Mapping, Sequence

from cxrflow.igcl.settings import IgclSettings
from cxrflow.igcl.transfer_settings import PATCHIB


def require_lenders(pretrained_on: Mapping[str, str], run: Collection[str]) -> None:
    """Raise ValueError where a cohort takes encoders that nobody pretrains; `run` are those that igcl runs on."""
    for name, source in pretrained_on.items():
        if name not in run or name == source:
            continue
        if source not in run:
            raise ValueError(
                f"igcl.pretrained_on: {name} takes encoders pretrained on {source}, on which igcl does not run: name "
                f"{source} in run.cohorts, and igcl among its systems, or give {name} another one"
            )
        if pretrained_on.get(source, source) != source:
            raise ValueError(f"igcl.pretrained_on: {name} takes encoders of {source}, which takes them itself")


def require_models(settings: IgclSettings, models: Mapping[str, Sequence[int]], image_size: int) -> None:
    """Raise ValueError where an initialisation is no model of patchib; `models` are theirs with their seeds.

    `image_size` is what patchib sees: its image towers are made for one size.
    """
    for name, about in settings.transfer.initialisations.items():
        if about.weights != PATCHIB:
            continue
        key, own_size = f"igcl.transfer.initialisations.{name}", settings.data.image_size
        if about.seed not in models.get(about.model, ()):
            known = {model: list(seeds) for model, seeds in models.items()}
            raise ValueError(
                f"{key} starts from patchib's model {about.model!r}, seed {about.seed}; models and seeds: {known}"
            )
        if own_size != image_size:
            raise ValueError(
                f"{key} starts from patchib, which sees {image_size} px, and igcl {own_size} px: give "
                "igcl.data.image_size and patchib.data.image_size the same number, or leave that one out"
            )
