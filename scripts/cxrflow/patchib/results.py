"""Gathers the exports of all models and writes the results tables of `patchib`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import write_twins
from cxrflow.measured import measures_table
from cxrflow.patchib.classification_measures import classification_measures
from cxrflow.patchib.exported import BOXED_SPLITS, Exported, by_model, reference_of, test_set
from cxrflow.patchib.grounding import grounding_table
from cxrflow.patchib.mask_tables import curves_table, robustness_table, shares_table
from cxrflow.patchib.master import label_order
from cxrflow.patchib.master_lines import read_master
from cxrflow.patchib.measures import Key, Measures, differences_table, over_seeds
from cxrflow.patchib.prompts import boxed_findings
from cxrflow.patchib.retrieval_measures import retrieval_measures
from cxrflow.patchib.settings import EvaluationSettings


@dataclass(frozen=True)
class ResultFiles:
    """The tables, each written as csv and parquet."""

    metrics: Path
    differences: Path
    grounding: Path
    shares: Path
    robustness: Path
    curves: Path


def write_results(
    outputs: ResultFiles,
    exports: Sequence[Exported],
    cohort: CohortFiles,
    master: Path,
    about: Mapping[str, object],
    settings: EvaluationSettings,
) -> None:
    """Write all tables; `about` has cohort and simulated, which every row carries."""
    labels = label_order(cohort.manifest)
    test, train_truth = test_set(master, labels, settings.resamples, settings.seed)
    models = dict(by_model(exports))
    common = {**about, "n_patients": test.rows["subject_id"].nunique()}
    measures: Measures = {}
    for seeds in models.values():
        measures |= over_seeds(
            [retrieval_measures(seed, test) | classification_measures(seed, test, train_truth) for seed in seeds]
        )
    write_twins(outputs.metrics, measures_table(measures, Key._fields, common))
    write_twins(outputs.differences, differences_table(measures, reference_of(models), common))
    write_twins(outputs.shares, shares_table(models, test, common))
    write_twins(outputs.robustness, robustness_table(models, test, common))
    write_twins(outputs.curves, curves_table(models, test, common))
    boxed = _read_boxed(cohort, master, exports[0])
    write_twins(outputs.grounding, grounding_table(boxed, models, about, settings))


def _read_boxed(cohort: CohortFiles, master: Path, export: Exported) -> dict[str, pd.DataFrame]:
    """Return the boxed findings of the validate and test splits on the grid of patches that the models see."""
    table, side = read_master(master), round(export.read("words/test").shape[1] ** 0.5)
    return {split: boxed_findings(cohort.manifest, table[table["split"] == split], side) for split in BOXED_SPLITS}
