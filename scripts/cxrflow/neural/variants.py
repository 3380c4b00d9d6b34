"""What the graph classifier is trained on: input, selector, report, share of patches, true or permuted labels."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxrflow.neural.graphs import Graphs
from cxrflow.neural.settings import NO_TEXT, PATCHES, WHOLE

BLIND = ("centre", "norm", "random")
"""Selectors that read no report."""

_SPLIT_NUMBERS = {"train": 0, "validate": 1, "test": 2}


class Variant(NamedTuple):
    """One way to see a cohort.

    `selector` is `attention`, `random`, `centre`, `norm`, `all` (nothing is left out), `none` (no patch) or the codec
    that the radiographs went through. `text` names the report that took part, in the graph or by choosing the patches.
    """

    input: str
    selector: str
    text: str
    kept_percent: float
    kept: int
    labels: Literal["true", "permuted"] = "true"

    @property
    def ranking(self) -> str | None:
        """The ranking whose first patches are kept; None where nobody chooses: all are kept, or none."""
        if self.selector == "attention":
            return f"attention_{self.text}"
        return self.selector if self.selector in BLIND else None


def variants(
    graphs: Graphs, inputs: Sequence[str], codecs: Sequence[str] = (), permuted_control: bool = False
) -> list[Variant]:
    """Return every variant once, always in the same order."""
    shares = [(share, kept) for share, kept in _shares(graphs) if share < WHOLE]
    attended = [text for text in graphs.reports if f"attention_{text}" in graphs.orders]
    found: list[Variant] = []
    if "image" in inputs:
        found += _image(graphs, shares, codecs)
        found += [Variant("image", "attention", text, *share) for text in attended for share in shares]
    if "text" in inputs:
        found += [_report_alone(text) for text in graphs.reports]
    if "fused" in inputs:
        found += [Variant("fused", "attention", text, *share) for text in attended for share in shares]
        found += [Variant("fused", "all", text, WHOLE, PATCHES) for text in graphs.reports]
    return found + (list(_controls(graphs, inputs, shares[:1], attended)) if permuted_control else [])


def _image(graphs: Graphs, shares: list[tuple[float, int]], codecs: Sequence[str]) -> list[Variant]:
    """Return what no report had a part in: blind selectors, the whole radiograph, and the whole decoded one."""
    pruned = [Variant("image", blind, NO_TEXT, *share) for blind in BLIND if blind in graphs.orders for share in shares]
    return pruned + [Variant("image", selector, NO_TEXT, WHOLE, PATCHES) for selector in ("all", *codecs)]


def _controls(
    graphs: Graphs, inputs: Sequence[str], smallest: list[tuple[float, int]], attended: list[str]
) -> Iterator[Variant]:
    """Yield what must be at chance: trained and tested on permuted labels."""
    if "text" in inputs:
        yield from (_report_alone(text)._replace(labels="permuted") for text in graphs.reports)
    if "fused" in inputs:
        yield from (Variant("fused", "attention", text, *share, "permuted") for text in attended for share in smallest)


def _report_alone(text: str) -> Variant:
    return Variant("text", "none", text, 0.0, 0)


def _shares(graphs: Graphs) -> list[tuple[float, int]]:
    return list(zip(graphs.percentiles.tolist(), graphs.kept.tolist(), strict=True))


def permuted_rows(patients: NDArray[np.str_], split: str, seed: int) -> NDArray[np.int64]:
    """Return a permutation (n,): image i takes the labels of image rows[i], which is another patient's.

    Patients with equally many images swap in a ring of random order, image for image, so that a patient's images take
    one patient's labels. Patients whose number of images nobody shares form a ring of their own (a single one joins the
    ring of those with the most images), in which labels move on by as many images as the largest of them has: only
    there may a patient take labels from two others.
    """
    generator = np.random.default_rng([seed, _SPLIT_NUMBERS[split]])
    taken = np.arange(len(patients))
    for ring in _rings(patients):
        shuffled = [ring[place] for place in generator.permutation(len(ring))]
        slots = np.concatenate(shuffled)
        taken[slots] = np.roll(slots, -max(map(len, shuffled)))
    return taken


def _rings(patients: NDArray[np.str_]) -> list[list[NDArray[np.int64]]]:
    """Return the rows of each patient, in groups among which labels are swapped."""
    _, patient = np.unique(patients, return_inverse=True)
    rows = np.split(np.argsort(patient, kind="stable"), np.cumsum(np.bincount(patient))[:-1])
    groups: dict[int, list[NDArray[np.int64]]] = {}
    for images in rows:
        groups.setdefault(len(images), []).append(images)
    rings = [groups[size] for size in sorted(groups) if len(groups[size]) > 1]
    alone = [groups[size][0] for size in sorted(groups) if len(groups[size]) == 1]
    if len(alone) == 1 and rings:
        return [*rings[:-1], [*rings[-1], *alone]]
    return [*rings, alone] if alone else rings


def permuted(targets: Tensor, patients: NDArray[np.str_], split: str, seed: int) -> Tensor:
    """Return targets (n, C) permuted among the patients of a split."""
    return targets[torch.from_numpy(permuted_rows(patients, split, seed))]
