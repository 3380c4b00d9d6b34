"""Extracted findings against the labels of a cohort: precision, recall and F1 per label, micro and macro."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.openi_index import LABEL_OF
from cxrflow.errors import UserError
from cxrflow.files import write_twins
from cxrflow.metrics import Estimate, interval, resampled_sums
from cxrflow.reports.settings import ScoreSettings

logger = logging.getLogger(__name__)

Counts = NDArray[np.float64]  # (..., 3): true positives, false positives, false negatives


def write_scores(
    findings: Path, manifest: Path, reports: Path, target: Path, settings: ScoreSettings, cohort: str, simulated: bool
) -> None:
    """Write extraction_scores.csv and its parquet twin: a row per label, then micro and macro."""
    table = score_extraction(pd.read_parquet(findings), pd.read_parquet(manifest), pd.read_parquet(reports), settings)
    table.insert(0, "cohort", cohort)
    table.insert(1, "simulated", simulated)
    write_twins(target, table)


def score_extraction(
    findings: pd.DataFrame, manifest: pd.DataFrame, reports: pd.DataFrame, settings: ScoreSettings
) -> pd.DataFrame:
    """Compare on the studies that have a report text.

    A label is positive in the manifest where it is 1.0 (absent, uncertain and not mentioned all count as negative),
    and extracted where any of its findings (LABEL_OF) has a present mention. Labels that the cohort lacks are left out;
    UserError where it has none of them. Columns: finding (the label), precision, recall, f1, f1_low, f1_high (95 %
    interval over patients), n (positive studies), n_patients. Averages are undefined (empty) where there is nothing to
    average.
    """
    labels = _labels_of(manifest, settings)
    truth = _truth(manifest, reports, labels)
    extracted = extracted_labels(findings, labels).reindex(truth.index, fill_value=False)
    counts = confusion(truth[labels].to_numpy(dtype=bool), extracted.to_numpy(dtype=bool))
    drawn = resampled_sums(counts, truth["patient_id"], settings.resamples, settings.seed)
    rows = [{"finding": name, **score} for name, score in scored(labels, counts.sum(axis=0, dtype=float), drawn)]
    return pd.DataFrame(rows).assign(n_patients=truth["patient_id"].nunique())


def extracted_labels(findings: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Return studies x labels (bool): any present mention of a finding that makes the label positive."""
    numbers, studies = pd.factorize(findings["study_id"].astype(str), sort=True)
    present = (findings["status"] == "present").to_numpy(dtype=bool)
    said = np.zeros((len(studies), len(labels)), dtype=bool)
    for at, label in enumerate(labels):
        named = [finding for finding, makes in LABEL_OF.items() if label in makes]
        said[numbers[present & findings["finding"].isin(named).to_numpy(dtype=bool)], at] = True
    return pd.DataFrame(said, index=pd.Index(studies, name="study_id", dtype=object), columns=list(labels))


def confusion(true: NDArray[np.bool_], said: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return (..., 3) of two equal shapes: whether each is a true positive, a false positive, a false negative."""
    return np.stack([true & said, ~true & said, true & ~said], axis=-1).astype(np.uint8)


def f1_score(counts: Counts) -> NDArray[np.float64]:
    """Return 2 TP / (2 TP + FP + FN) over the last axis; NaN where there is neither a positive nor a mention."""
    true, false, missed = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    return _ratio(2 * true, 2 * true + false + missed)


def scored(names: Sequence[str], counts: Counts, drawn: Counts) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the scores of each name, then `micro` and `macro` (the mean over names with at least one positive).

    `counts` (names, 3) and `drawn` (resamples, names, 3) hold true positives, false positives and false negatives.
    """
    rows = [score(counts[at], drawn[:, at]) for at in range(len(names))]
    yield from zip(names, rows, strict=True)
    yield "micro", score(counts.sum(axis=0), drawn.sum(axis=1))
    yield "macro", _macro(rows, drawn)


def score(counts: Counts, drawn: Counts) -> dict[str, Any]:
    """Return precision, recall, F1 with its 95 % interval, and n from counts (3,) and resampled counts (R, 3)."""
    true, false, missed = counts
    estimate = interval(float(f1_score(counts)), f1_score(drawn))
    return _as_row(_ratio(true, true + false), _ratio(true, true + missed), estimate, true + missed)


def _macro(rows: list[dict[str, Any]], drawn: Counts) -> dict[str, Any]:
    counted = [at for at, row in enumerate(rows) if row["n"] > 0]
    if not counted:
        return _as_row(np.nan, np.nan, Estimate(np.nan, np.nan, np.nan), 0)
    table = pd.DataFrame([rows[at] for at in counted])
    means = table[["precision", "recall", "f1"]].mean()  # a label that nothing was found of has no precision
    estimate = interval(float(means["f1"]), _mean_of_known(f1_score(drawn[:, counted])))
    return _as_row(means["precision"], means["recall"], estimate, table["n"].sum())


def _mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over the last axis; a label that a resample neither holds nor finds has no F1 and does not count."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1))


def _as_row(precision: Any, recall: Any, f1: Estimate, positives: Any) -> dict[str, Any]:
    row = {"precision": float(precision), "recall": float(recall)}
    return {**row, "f1": f1.value, "f1_low": f1.low, "f1_high": f1.high, "n": int(positives)}


def _labels_of(manifest: pd.DataFrame, settings: ScoreSettings) -> list[str]:
    labels = [label for label in settings.labels if label in manifest.columns]
    missing = sorted(set(settings.labels) - set(labels))
    if not labels:
        raise UserError(
            f"The manifest has no column for any of the labels {missing}.",
            "Score only labels the cohort has (reports.score.labels).",
        )
    if missing:
        logger.warning("Not scored, for the cohort has no such label: %s", ", ".join(missing))
    return labels


def _truth(manifest: pd.DataFrame, reports: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """Return one row per study with a text: patient_id and a column per label (True where the label is 1.0)."""
    with_text = reports.loc[reports["text"].fillna("").str.strip() != "", "study_id"]
    studies = manifest[manifest["study_id"].isin(with_text)].drop_duplicates("study_id")
    truth = (studies[labels] == 1.0).fillna(value=False).astype(bool)
    truth.insert(0, "patient_id", studies["patient_id"].astype(str))
    return truth.set_axis(studies["study_id"].astype(str).to_numpy(dtype=object), axis=0).sort_index()


def _ratio(numerator: Any, denominator: Any) -> NDArray[np.float64]:
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    return np.divide(numerator, denominator, out=np.full(shape, np.nan), where=np.asarray(denominator) > 0)
