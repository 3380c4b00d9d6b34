"""The real Open-I reports against their human index. The lexicon was tuned on even report numbers only."""

import pandas as pd
import pytest

from cxrflow.cohort.openi import installed_archive, read_openi
from cxrflow.cohort.openi_index import indexed_findings, is_indexed
from cxrflow.reports.extract import extract_reports
from cxrflow.reports.sections import clean_text, join_sentences
from cxrflow.reports.settings import ExtractSettings

# Diseases that the index names at least a dozen times in each half.
SCORED = [
    "atelectasis", "cardiomegaly", "consolidation", "edema", "effusion", "emphysema", "fracture", "granuloma", "hernia",
    "nodule", "opacity", "pneumonia", "pneumothorax",
]  # fmt: skip
FLOOR_MICRO_F1 = 0.90
FLOOR_F1 = 0.75


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    """Return true positives, false positives and false negatives per finding on the odd numbers."""
    reports = [report for report in read_openi(installed_archive()) if int(report.uid) % 2 and is_indexed(report.index)]
    texts = [join_sentences([clean_text(report.findings), clean_text(report.impression)]) for report in reports]
    uids = [report.uid for report in reports]
    findings, _ = extract_reports(pd.DataFrame({"study_id": uids, "text": texts}), ExtractSettings())
    present = findings[findings["status"] == "present"]
    said = set(zip(present["study_id"], present["finding"], strict=True))
    true = {(report.uid, found.finding) for report in reports for found in indexed_findings(report.index)}
    tally = {
        finding: [
            sum((uid, finding) in true and (uid, finding) in said for uid in uids),
            sum((uid, finding) not in true and (uid, finding) in said for uid in uids),
            sum((uid, finding) in true and (uid, finding) not in said for uid in uids),
        ]
        for finding in SCORED
    }
    return pd.DataFrame(tally, index=["true", "false", "missed"]).T


def f1(counts: "pd.DataFrame | pd.Series[int]") -> "pd.Series[float] | float":
    return 2 * counts["true"] / (2 * counts["true"] + counts["false"] + counts["missed"])


def test_micro_f1_on_unseen_reports(counts: pd.DataFrame) -> None:
    assert f1(counts.sum()) >= FLOOR_MICRO_F1


def test_no_finding_is_left_behind(counts: pd.DataFrame) -> None:
    assert f1(counts).min() >= FLOOR_F1
