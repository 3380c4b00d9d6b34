"""The results tables of forgetting: from the measures of all seeds to what figures and readers need.

Columns that all have: cohort, simulated, n_patients (of the test split), n_seeds, method (the way to compress). An
interval (low, high) is of 95 % and over seeds and patients together: each resample draws both.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.files import write_twins
from cxrflow.forgetting.curves import forgettability_curves
from cxrflow.forgetting.dissimilarity import overlaps
from cxrflow.forgetting.frequency import cooccurrence_matrix
from cxrflow.forgetting.measures import WayMeasures
from cxrflow.forgetting.predictions import Truth
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.forgetting.table_rows import (
    PAIR_COLUMNS,
    Analysis,
    Row,
    correlation_rows,
    curve_rows,
    forgettability_rows,
    joint_rows,
    legacy_rows,
    metric_rows,
    overall_rows,
    pair_rows,
)

DIGITS = 12  # what is rounded away would hang on how sums lie in memory


@dataclass(frozen=True)
class ForgettingTables:
    """The tables, each under its name."""

    metrics: pd.DataFrame
    """class x sparsity x metric, and rows of the mean over classes; the value is the median over seeds."""
    overall: pd.DataFrame
    """sparsity x metric x test: change of the mean over classes, p against sparsity 0, and whether it is the first with
    p < .05."""
    curves: pd.DataFrame
    """class x sparsity x metric: relative change."""
    forgettability: pd.DataFrame
    """class: first drop, final change, training images, group of the long tail."""
    correlations: pd.DataFrame
    """Forgetting against frequency and co-occurrence, and FCD against both relations of a pair."""
    dissimilarity: pd.DataFrame
    """Pair of classes: FCD, its mean square, and the relations by both formulas."""
    joint_model: pd.DataFrame
    """Term: coefficient of the model of FCD."""
    legacy: pd.DataFrame
    """FCD correlations by both formulas, side by side."""


@dataclass(frozen=True)
class ForgettingFiles:
    """Where they are written, as csv and parquet."""

    metrics: Path
    overall: Path
    curves: Path
    forgettability: Path
    correlations: Path
    dissimilarity: Path
    joint_model: Path
    legacy: Path


def write_tables(outputs: ForgettingFiles, tables: ForgettingTables) -> None:
    """Write every table as csv and parquet."""
    for field in fields(outputs):
        write_twins(getattr(outputs, field.name), getattr(tables, field.name))


def forgetting_tables(
    ways: Mapping[str, WayMeasures],
    truth: Truth,
    training_labels: NDArray,
    settings: ForgettingSettings,
    cohort: str,
    simulated: bool,
) -> ForgettingTables:
    """Return all tables, the ways in the given order.

    `truth` is of the test split, `training_labels` (M, C) are those of the training images.
    """
    overlap, training = overlaps(truth.labels, truth.patient_ids, settings), cooccurrence_matrix(training_labels)
    analyses = [
        Analysis(way, measured, forgettability_curves(measured, settings), truth, training, overlap, settings)
        for way, measured in ways.items()
    ]
    about = {"cohort": cohort, "simulated": simulated, "n_patients": len(np.unique(truth.patient_ids))}

    def table(rows_of: Callable[[Analysis], Iterable[Row]]) -> pd.DataFrame:
        rows = [
            {**about, "n_seeds": len(found.measured.seeds), "method": found.method, **row}
            for found in analyses
            for row in rows_of(found)
        ]
        columns = None if rows else [*about, "n_seeds", "method", *PAIR_COLUMNS]  # only pairs can be none
        return pd.DataFrame(rows, columns=columns).round(DIGITS)

    return ForgettingTables(
        metrics=table(metric_rows),
        overall=table(overall_rows),
        curves=table(curve_rows),
        forgettability=table(forgettability_rows),
        correlations=table(correlation_rows),
        dissimilarity=table(pair_rows),
        joint_model=table(joint_rows),
        legacy=table(legacy_rows),
    )
