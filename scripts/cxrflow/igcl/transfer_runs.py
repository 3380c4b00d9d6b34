"""Which classifiers are trained: modes, numbers of labels and seeds."""

from dataclasses import dataclass
from typing import Literal

from cxrflow.igcl.transfer_settings import ClassifierSettings, TransferSettings
from cxrflow.labelled_subsets import Level

Mode = Literal["linear", "finetuning"]
LINEAR, FINETUNING = "linear", "finetuning"


@dataclass(frozen=True)
class Run:
    """One classifier: what of it learns, from how many labels, and the seed of draw and training."""

    mode: Mode
    level: Level
    seed: int

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.mode}_{self.level.name}_{self.seed}"


def runs_of(settings: TransferSettings) -> list[Run]:
    """Return all classifiers of one initialisation."""
    modes: dict[Mode, ClassifierSettings | None] = {"linear": settings.linear, "finetuning": settings.finetuning}
    return [
        Run(mode, level, seed)
        for mode, about in modes.items()
        if about is not None
        for level in levels_of(about)
        for seed in about.seeds
    ]


def levels_of(settings: ClassifierSettings) -> list[Level]:
    """Return the shares, the smallest first, then the numbers of shots."""
    shares = [Level(fraction=fraction) for fraction in sorted(settings.fractions)]
    return shares + [Level(shots=shots) for shots in sorted(settings.shots)]
