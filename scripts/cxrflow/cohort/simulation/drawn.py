"""How a label of a data set is drawn: the finding, and the places, sides and words that it may have."""

from dataclasses import dataclass

import numpy as np

from cxrflow.cohort.openi_index import IndexedFinding

_ANYWHERE = (None,)
_SEVERITIES = (None, None, None, "mild", "mild", "moderate", "severe")
_DEVICES = (("catheter", "Catheters, Indwelling"), ("tube", "Tube, Inserted"))
_TUBES = 0.35  # share of tubes among devices


@dataclass(frozen=True)
class Drawn:
    """One choice of each is made at random; words are as in Open-I's index."""

    finding: str
    sites: tuple[str | None, ...] = _ANYWHERE
    sides: tuple[str | None, ...] = _ANYWHERE
    words: tuple[str, ...] = ("",)

    def pick(self, name: str, rng: np.random.Generator) -> IndexedFinding:
        """Return the finding that is drawn for the label `name`."""
        side, site, severity, word = (
            choices[int(rng.integers(len(choices)))] for choices in (self.sides, self.sites, _SEVERITIES, self.words)
        )
        return IndexedFinding(self.finding, side, site, severity, f"{name}{word}")


def pick_device(rng: np.random.Generator) -> IndexedFinding:
    """Return a line or a tube."""
    kind, path = _DEVICES[int(rng.random() < _TUBES)]
    return IndexedFinding("device", None, kind, None, path)
