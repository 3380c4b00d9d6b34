"""Gathers the predictions of all initialisations and writes the results tables of `igcl`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import write_json, write_twins
from cxrflow.igcl.measures import Key, Measures, differences_table, measures_of
from cxrflow.igcl.test_split import TestSplit
from cxrflow.igcl.transfer_settings import EvaluationSettings, TransferSettings
from cxrflow.measured import measures_table


@dataclass(frozen=True)
class ResultFiles:
    """The tables, as csv and parquet, and all of them with the settings as JSON."""

    metrics: Path
    differences: Path
    summary: Path


def write_results(
    outputs: ResultFiles,
    predictions: Mapping[str, Path],
    cohort: CohortFiles,
    about: Mapping[str, object],
    transfer: TransferSettings,
    settings: EvaluationSettings,
) -> None:
    """Write all tables from predictions by initialisation; `about` has cohort and simulated, which rows carry."""
    test = TestSplit.read(cohort, transfer, settings)
    measures: Measures = {}
    for name, file in predictions.items():
        measures |= measures_of(pd.read_parquet(file), name, test)
    common = {**about, "n_patients": test.n_patients}
    metrics, differences = (
        measures_table(measures, Key._fields, common),
        differences_table(measures, next(iter(predictions)), common),
    )
    write_twins(outputs.metrics, metrics)
    write_twins(outputs.differences, differences)
    config = {"transfer": transfer.model_dump(mode="json"), "evaluation": settings.model_dump(mode="json")}
    write_json(outputs.summary, {"config": config, "metrics": _rows(metrics), "differences": _rows(differences)})


def _rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    """Return a table as plain types; what is not defined is null."""
    return table.astype(object).where(table.notna(), None).to_dict("records")
