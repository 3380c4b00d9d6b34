"""Extracted findings against the labels of a cohort: precision, recall and F1 per label, micro and macro."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.openi_index import LABEL_OF
from cxrflow.errors import UserError
from cxrflow.files import write_twins
from cxrflow.metrics import interval, resample_weights
from cxrflow.reports.settings import ScoreSettings

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
    and extracted where any of its findings (LABEL_OF) has a present mention. Columns: finding (the label), precision,
    recall, f1, f1_low, f1_high (95 % interval over patients), n (positive studies), n_patients. Averages are undefined
    (empty) where there is nothing to average.
    """
    labels = list(settings.labels)
    truth = _truth(manifest, reports, labels)
    extracted = extracted_labels(findings, labels).reindex(truth.index, fill_value=False)
    true, said = truth[labels].to_numpy(dtype=bool), extracted.to_numpy(dtype=bool)
    counts = np.stack([true & said, ~true & said, true & ~said], axis=-1).astype(np.float64)
    drawn = _resampled(counts, truth["patient_id"], settings)
    rows = [_row(label, counts.sum(axis=0)[at], drawn[:, at]) for at, label in enumerate(labels)]
    rows.append(_row("micro", counts.sum(axis=(0, 1)), drawn.sum(axis=1)))
    rows.append(_macro(rows, drawn))
    return pd.DataFrame(rows).assign(n_patients=truth["patient_id"].nunique())


def extracted_labels(findings: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """Return studies x labels (bool): any present mention of a finding that makes the label positive."""
    present = findings[findings["status"] == "present"]
    studies = pd.Index(sorted(findings["study_id"].astype(str).unique()), name="study_id", dtype=object)
    table = pd.DataFrame(False, index=studies, columns=labels)
    for label in labels:
        named = [finding for finding, makes in LABEL_OF.items() if label in makes]
        table.loc[present.loc[present["finding"].isin(named), "study_id"].astype(str).unique(), label] = True
    return table


def f1_score(counts: Counts) -> NDArray[np.float64]:
    """Return 2 TP / (2 TP + FP + FN) over the last axis; NaN where there is neither a positive nor a mention."""
    true, false, missed = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    return _ratio(2 * true, 2 * true + false + missed)


def _truth(manifest: pd.DataFrame, reports: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """Return one row per study with a text: patient_id and a column per label (True where the label is 1.0)."""
    missing = [label for label in labels if label not in manifest.columns]
    if missing:
        raise UserError(
            f"The manifest has no column for the labels {missing}.",
            "Score only labels the cohort has (reports.score.labels).",
        )
    with_text = reports.loc[reports["text"].fillna("").str.strip() != "", "study_id"]
    studies = manifest[manifest["study_id"].isin(with_text)].drop_duplicates("study_id")
    truth = (studies[labels] == 1.0).fillna(value=False).astype(bool)
    truth.insert(0, "patient_id", studies["patient_id"].astype(str))
    return truth.set_axis(studies["study_id"].astype(str).to_numpy(dtype=object), axis=0).sort_index()


def _resampled(counts: Counts, patients: pd.Series, settings: ScoreSettings) -> Counts:
    """Return (resamples, labels, 3): the counts when patients are drawn with replacement."""
    if settings.resamples == 0 or not len(patients):
        return np.zeros((0, *counts.shape[1:]))
    weights = resample_weights(patients.to_numpy(), settings.resamples, settings.seed)
    flat = counts.reshape(len(counts), -1)
    return np.stack([row @ flat for row in weights]).reshape(len(weights), *counts.shape[1:])


def _row(name: str, counts: Counts, drawn: Counts) -> dict[str, Any]:
    true, false, missed = counts
    estimate = interval(float(f1_score(counts)), f1_score(drawn))
    return {
        "finding": name,
        "precision": float(_ratio(true, true + false)),
        "recall": float(_ratio(true, true + missed)),
        "f1": estimate.value,
        "f1_low": estimate.low,
        "f1_high": estimate.high,
        "n": int(true + missed),
    }


def _macro(rows: list[dict[str, Any]], drawn: Counts) -> dict[str, Any]:
    """Average over the labels with at least one positive study."""
    table = pd.DataFrame(rows[:-1])
    counted = (table["n"] > 0).to_numpy()
    means = table.loc[counted, ["precision", "recall", "f1"]].mean()
    resampled = f1_score(drawn[:, counted])
    estimate = interval(float(means["f1"]), np.nan_to_num(resampled).mean(axis=1) if counted.any() else np.zeros(0))
    return {
        "finding": "macro",
        "precision": means["precision"],
        "recall": means["recall"],
        "f1": estimate.value,
        "f1_low": estimate.low,
        "f1_high": estimate.high,
        "n": int(table["n"].sum()),
    }


def _ratio(numerator: Any, denominator: Any) -> NDArray[np.float64]:
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    return np.divide(numerator, denominator, out=np.full(shape, np.nan), where=np.asarray(denominator) > 0)
