"""Do two kinds of compression forget the same diseases, and misread the same patients? All pairs of analyses."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.long_tail import NO_FINDING
from cxrflow.files import write_twins
from cxrflow.forgetting.correlation import permutation_p, permutations, spearman
from cxrflow.forgetting.figures import FEW
from cxrflow.forgetting.relation_figures import first_method
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.metrics import interval, resample_weights
from cxrflow.ranking import ratio

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Row = dict[str, Any]

FEWEST = 5
"""Diseases in common that a correlation needs."""
SAME = {"Effusion": "Pleural Effusion"}
"""Names of ChestX-ray14 by those that the other data sets have for the same disease."""
DISEASES, RADIOGRAPHS = "the same diseases", "the same radiographs"
"""Values of the column `question`."""
SPEARMAN, JACCARD, SHARED = "spearman", "jaccard", "shared_over_expected"
SIDES = ("a", "b")
COLUMNS = [
    *(f"{name}_{side}" for side in SIDES for name in ("system", "compression", "cohort", "n_patients", "n_seeds")),
    *("simulated", "question", "metric", "value", "low", "high", "p", "chance", "n", "n_patients", "n_shared", "note"),
]
COUNTS = ("n", "n_patients", "n_shared")


@dataclass(frozen=True)
class Forgotten:
    """One analysis of forgetting: the system, what it takes away, its tables of classes and of test images."""

    system: str
    compression: str
    classes: pd.DataFrame
    """The table `forgettability`, of the way to compress that the analysis is about."""
    images: pd.DataFrame
    """The table `pie`."""

    @classmethod
    def read(cls, system: str, compression: str, forgettability: Path, pie: Path) -> "Forgotten":
        """Read both tables."""
        return cls(system, compression, first_method(pd.read_parquet(forgettability)), pd.read_parquet(pie))

    @property
    def about(self) -> Row:
        """The system, what it takes away, cohort, patients and seeds."""
        first = self.classes.iloc[0]
        own = {"system": self.system, "compression": self.compression}
        return own | {name: first[name] for name in ("cohort", "n_patients", "n_seeds")}

    @property
    def losses(self) -> pd.Series:
        """Relative change of average precision at the last level by disease, of those with enough positive images."""
        enough = (self.classes["n_positive"] >= FEW) & (self.classes["class"] != NO_FINDING)
        return self.classes[enough].set_index("class")["final_change"].rename(index=SAME).dropna()


def write_forgotten(output: Path, analyses: Sequence[Forgotten], settings: ForgettingSettings) -> None:
    """Write the table of all pairs as csv and parquet."""
    write_twins(output, forgotten_table(analyses, settings))


def forgotten_table(analyses: Sequence[Forgotten], settings: ForgettingSettings) -> pd.DataFrame:
    """Return three rows per pair of analyses: one about diseases, two about radiographs (see the functions below).

    `chance` is what two analyses give that have nothing to do with each other. Where nothing can be told the value is
    empty and `note` says why.
    """
    rows = []
    for one, other in combinations(analyses, 2):
        about = {f"{name}_a": value for name, value in one.about.items()}
        about |= {f"{name}_b": value for name, value in other.about.items()}
        about["simulated"] = bool(one.classes["simulated"].all() and other.classes["simulated"].all())
        found = [same_diseases(one.losses, other.losses, settings), *same_radiographs(one, other, settings)]
        rows += [{**about, **row} for row in found]
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COUNTS, "Int64"))


def same_diseases(one: pd.Series, other: pd.Series, settings: ForgettingSettings) -> Row:
    """Return Spearman's correlation of what diseases lose (by name) in two analyses.

    The interval is over resamples of the diseases: others of the same kind. p is two-sided, by permutation of them.
    """
    both = pd.concat([one, other], axis=1, join="inner")
    count = len(both)
    row: Row = {"question": DISEASES, "metric": SPEARMAN, "chance": 0.0, "n": count}
    if count < FEWEST:
        note = f"diseases in common with {FEW} positive test images in both analyses: {count}, needed: {FEWEST}"
        return row | {"note": note}
    first, second = both.to_numpy(dtype=np.float64).T
    value = float(spearman(first, second))
    drawn = np.random.default_rng([settings.seed, count, 1]).integers(count, size=(settings.resamples, count))
    order = permutations(count, settings.permutations, settings.seed)
    bounds = interval(value, spearman(first[drawn], second[drawn]))._asdict()
    note = "one of both loses as much of every disease" if np.isnan(value) else ""
    return row | bounds | {"p": permutation_p(value, spearman(first, second[order])), "note": note}


def same_radiographs(one: Forgotten, other: Forgotten, settings: ForgettingSettings) -> list[Row]:
    """Return how far the exemplars of two analyses are the same test images, among those that both have.

    `jaccard`: shared over all exemplars. `shared_over_expected`: shared ones over what independence gives. Intervals
    are over resamples of patients. p is of so many shared ones or more when patients change places with others of as
    many images (in one of both), and so is `chance`: images of a patient stay together.
    """
    rows: list[Row] = [{"question": RADIOGRAPHS, "metric": metric} for metric in (JACCARD, SHARED)]
    if one.about["cohort"] != other.about["cohort"]:
        return [row | {"note": "the analyses are of different cohorts"} for row in rows]
    images = one.images.merge(other.images, on=["image_id", "patient_id"], suffixes=("_a", "_b"))
    images = images.sort_values(["patient_id", "image_id"], ignore_index=True)
    first, second = (images[f"is_pie_{side}"].to_numpy(dtype=bool) for side in SIDES)
    counts: Row = {
        "n": len(images),
        "n_patients": images["patient_id"].nunique(),
        "n_shared": int((first & second).sum()),
    }
    if not (first.any() and second.any()):
        return [row | counts | {"note": "one of both has no exemplar among the images of both"} for row in rows]
    found = _measured(first, second, images["patient_id"].to_numpy(), settings)
    return [row | counts | own for row, own in zip(rows, found, strict=True)]


def _measured(first: Mask, second: Mask, patients: NDArray, settings: ForgettingSettings) -> list[Row]:
    """Return value, interval, p and chance of the Jaccard index and of shared over expected members of two sets."""
    values = overlaps(first, second, np.ones((1, len(first))))
    resampled = overlaps(first, second, resample_weights(patients, settings.resamples, settings.seed))
    observed, shared = np.count_nonzero(first & second), permuted_shared(first, second, patients, settings)
    about: Row = {"p": float((1 + np.count_nonzero(shared >= observed)) / (1 + len(shared))), "note": ""}
    bounds = [interval(float(value[0]), drawn)._asdict() for value, drawn in zip(values, resampled, strict=True)]
    if not observed:
        about["note"] = "none is shared, and so in every resample: no interval"
        bounds = [own | {"low": np.nan, "high": np.nan} for own in bounds]
    chances = (shared / (first.sum() + second.sum() - shared), shared * len(first) / (first.sum() * second.sum()))
    return [{**own, **about, "chance": float(chance.mean())} for own, chance in zip(bounds, chances, strict=True)]


def overlaps(first: Mask, second: Mask, weights: NDArray) -> tuple[Floats, Floats]:
    """Return the Jaccard index of two sets (N,), and shared over expected members, for each row of weights (R, N)."""
    rows = np.asarray(weights, dtype=np.float64)
    shared, one, other = (rows @ members.astype(np.float64) for members in (first & second, first, second))
    return ratio(shared, one + other - shared), ratio(shared * rows.sum(axis=1), one * other)


def permuted_shared(first: Mask, second: Mask, patients: NDArray, settings: ForgettingSettings) -> Floats:
    """Return (permutations,) how many members two sets (N,) share when patients of the second change places.

    Each with others of as many images. `patients` (N,) stand one after the other.
    """
    _, patient, sizes = np.unique(patients, return_inverse=True, return_counts=True)
    shared = np.zeros(settings.permutations)
    for size in np.unique(sizes):
        rows = sizes[patient] == size
        one, other = (members[rows].reshape(-1, size).astype(np.float64) for members in (first, second))
        order = permutations(len(one), settings.permutations, settings.seed)
        shared += (one @ other.T)[np.arange(len(one)), order].sum(axis=1)
    return shared
