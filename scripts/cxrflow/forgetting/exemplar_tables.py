"""The results tables of the exemplars: who they are, what they show, and how reliable the set is."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.files import write_twins
from cxrflow.forgetting.ensembles import Ensembles, SeedLoader, gather
from cxrflow.forgetting.exemplar_stability import sensitivity, stability
from cxrflow.forgetting.exemplars import (
    DISEASE_BINS,
    Mask,
    disease_counts,
    find_exemplars,
    legacy_disease_counts,
    members,
    ratios_of,
    resampled_ratios,
)
from cxrflow.forgetting.predictions import Truth
from cxrflow.forgetting.settings import ExemplarSettings, ForgettingSettings
from cxrflow.metrics import interval

logger = logging.getLogger(__name__)

DIGITS = 12  # what is rounded away would hang on how sums lie in memory
CLASS, DISEASES = "class", "diseases"
"""Values of the column `group`."""
FIXED, LEGACY = "fixed", "legacy"
"""Values of the column `formula`."""


@dataclass(frozen=True)
class ExemplarTables:
    """The four results tables."""

    pie: pd.DataFrame
    """One row per image: agreement at the level and at every other, is_pie, constant, n_diseases."""
    ratios: pd.DataFrame
    """One row per class and per disease count, the latter by both formulas."""
    stability: pd.DataFrame
    """One row per measure of agreement between halves of the seeds; low and high are percentiles over the halves."""
    sensitivity: pd.DataFrame
    """Two rows (jaccard, ratio_correlation) per share and level that exemplars could have been found at."""


@dataclass(frozen=True)
class ExemplarFiles:
    """Where these tables are written, as csv and parquet."""

    pie: Path
    ratios: Path
    stability: Path
    sensitivity: Path


def write_exemplars(
    outputs: ExemplarFiles,
    loaders: Iterable[SeedLoader],
    truth: Truth,
    exemplars: ExemplarSettings,
    forgetting: ForgettingSettings,
    cohort: str,
    simulated: bool,
) -> None:
    """Find the exemplars and write all tables; each loader is called once, and its predictions are let go."""
    tables = exemplar_tables(gather(loaders, exemplars.level), truth, exemplars, forgetting, cohort, simulated)
    for field in fields(outputs):
        write_twins(getattr(outputs, field.name), getattr(tables, field.name))


def exemplar_tables(
    ensembles: Ensembles,
    truth: Truth,
    exemplars: ExemplarSettings,
    forgetting: ForgettingSettings,
    cohort: str,
    simulated: bool,
) -> ExemplarTables:
    """Return the four tables. `simulated` tells whether the images are."""
    about = {
        "cohort": cohort,
        "simulated": simulated,
        "n_patients": len(np.unique(truth.patient_ids)),
        "n_seeds": len(ensembles.seeds),
    }
    agreement, constant = ensembles.at(ensembles.level)
    chosen = find_exemplars(agreement, truth.image_ids, exemplars.share)
    _warn(chosen, constant, truth)
    chosen_at = {**about, "sparsity": ensembles.level, "share": exemplars.share}
    return ExemplarTables(
        _with(about, _pie_table(ensembles, truth, chosen)),
        _with(chosen_at, _ratio_table(ensembles, truth, chosen, exemplars, forgetting)),
        _with(chosen_at, _stability_table(ensembles, truth, exemplars, forgetting.seed)),
        _with(about, _sensitivity_table(ensembles, truth, exemplars)),
    )


def _pie_table(ensembles: Ensembles, truth: Truth, chosen: Mask) -> pd.DataFrame:
    along = {level: ensembles.at(level) for level in ensembles.levels[1:]}
    here = along[ensembles.level]
    columns = {
        "image_id": truth.image_ids,
        "patient_id": truth.patient_ids,
        "agreement": here.correlation.round(DIGITS),
        "is_pie": chosen,
        "constant": here.constant,
        "n_diseases": disease_counts(truth),
    }
    levels = {f"agreement_{level:g}": each.correlation.round(DIGITS) for level, each in along.items()}
    return pd.DataFrame({**columns, **levels})


def _ratio_table(
    ensembles: Ensembles, truth: Truth, chosen: Mask, exemplars: ExemplarSettings, forgetting: ForgettingSettings
) -> pd.DataFrame:
    found, drawn = ratios_of(truth, chosen[None]), resampled_ratios(ensembles, truth, exemplars.share, forgetting)
    keys = [(CLASS, name) for name in truth.classes] + [(DISEASES, count) for count in DISEASE_BINS]
    groups = members(truth)
    fixed = _ratio_rows(keys, found.fixed[0], drawn.fixed, *_positives(groups, chosen))
    legacy = _ratio_rows(keys[-len(DISEASE_BINS) :], found.legacy[0], drawn.legacy, *_legacy_positives(truth, chosen))
    table = pd.concat([fixed.assign(formula=FIXED), legacy.assign(formula=LEGACY)], ignore_index=True)
    return table.assign(n_pies=int(chosen.sum()), n_others=int((~chosen).sum()))


def _ratio_rows(
    keys: Sequence[tuple[str, str]], values: NDArray, drawn: NDArray, inside: NDArray, outside: NDArray
) -> pd.DataFrame:
    """Return one row per key: its ratio with the interval, and how many exemplars and other images it has."""
    estimates = [interval(value, column) for value, column in zip(values, drawn.T, strict=True)]
    rows = pd.DataFrame(keys, columns=["group", "level"]).assign(metric="ratio", ratio=values)
    rows[["value", "low", "high"]] = np.array(estimates)
    rows = rows.round(dict.fromkeys(("ratio", "value", "low", "high"), DIGITS))
    return rows.assign(n_pie=pd.array(inside, "Int64"), n_other=pd.array(outside, "Int64"))


def _positives(groups: NDArray, chosen: Mask) -> tuple[NDArray, NDArray]:
    """Return how many exemplars and how many other images are in each group (N, G)."""
    return np.nansum(groups[chosen], axis=0).astype(int), np.nansum(groups[~chosen], axis=0).astype(int)


def _legacy_positives(truth: Truth, chosen: Mask) -> tuple[NDArray, NDArray]:
    """Return the sizes of the released formula's bins; missing ones where it has none."""
    sums = legacy_disease_counts(truth)
    return _distinct(sums, chosen), _distinct(sums, ~chosen)


def _distinct(sums: NDArray | None, side: Mask) -> NDArray:
    counts = np.unique(sums[side], return_counts=True)[1] if sums is not None else np.empty(0)
    if len(counts) < len(DISEASE_BINS):
        return np.full(len(DISEASE_BINS), None)
    return np.r_[counts[:4], counts[4:].sum()]


def _stability_table(ensembles: Ensembles, truth: Truth, settings: ExemplarSettings, seed: int) -> pd.DataFrame:
    found = stability(ensembles, truth, settings, seed)
    rows = {
        "jaccard": found.jaccard,
        "jaccard_by_chance": (found.chance, np.nan, np.nan),
        "agreement_correlation": found.correlation,
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"]).round(DIGITS)
    table = table.rename_axis("metric").reset_index()
    return table.assign(n_halves=found.halves, seeds_per_half=found.seeds)


def _sensitivity_table(ensembles: Ensembles, truth: Truth, settings: ExemplarSettings) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for found in sensitivity(ensembles, truth, settings):
        at = {"sparsity": found.level, "share": found.share, "largest": round(found.largest, DIGITS)}
        rows += [at | {"metric": "jaccard", "value": found.jaccard}]
        rows += [at | {"largest": 1.0, "metric": "ratio_correlation", "value": found.correlation}]
    default = {"default_sparsity": ensembles.level, "default_share": settings.share}
    return pd.DataFrame(rows).round({"value": DIGITS}).assign(low=np.nan, high=np.nan, **default)


def _warn(chosen: Mask, constant: Mask, truth: Truth) -> None:
    if not chosen.any():
        logger.warning("%d images are too few for one exemplar at this share: the ratios are empty.", len(chosen))
    if constant.any():
        logger.warning("%d of %d images have constant predictions; they count as most disagreeing.", *_of(constant))
    if legacy_disease_counts(truth) is None:
        logger.warning("Patient ids are no numbers here, so the released disease counts can't be reproduced.")


def _of(mask: Mask) -> tuple[int, int]:
    return int(mask.sum()), len(mask)


def _with(about: Mapping[str, object], table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the common columns in front."""
    return pd.concat([pd.DataFrame(about, index=table.index), table], axis=1)
