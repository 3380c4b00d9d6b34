from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from cxrflow.errors import UserError
from cxrflow.reports.scores import extracted_labels, score_extraction, write_scores
from cxrflow.reports.settings import ScoreSettings

# Pleural effusion: found in s1 (right) and s2 (wrong), missed in s3; s4 is right to be empty; s5 has no text.
MANIFEST = pd.DataFrame(
    {
        "study_id": ["s1", "s1", "s2", "s3", "s4", "s5"],
        "patient_id": ["a", "a", "a", "b", "c", "d"],
        "Pleural Effusion": [1.0, 1.0, -1.0, 1.0, None, 1.0],
        "Pneumonia": [0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    }
)
REPORTS = pd.DataFrame({"study_id": ["s1", "s2", "s3", "s4", "s5"], "text": ["x", "x", "x", "x", " "]})
FINDINGS = pd.DataFrame(
    [("s1", "effusion", "present"), ("s1", "effusion", "absent"), ("s2", "effusion", "present"),
     ("s3", "effusion", "uncertain"), ("s4", "pneumonia", "present")],
    columns=["study_id", "finding", "status"],
)  # fmt: skip
SETTINGS = ScoreSettings(labels=("Pleural Effusion", "Pneumonia"), resamples=200)


def test_scores_by_hand() -> None:
    table = score_extraction(FINDINGS, MANIFEST, REPORTS, SETTINGS).set_index("finding")
    effusion, micro, macro = table.loc["Pleural Effusion"], table.loc["micro"], table.loc["macro"]
    assert (effusion["precision"], effusion["recall"], effusion["f1"], effusion["n"]) == (0.5, 0.5, 0.5, 2)
    assert table.loc["Pneumonia", "f1"] == 1.0
    assert micro["f1"] == pytest.approx(2 / 3)
    assert macro["f1"] == pytest.approx(0.75)
    assert set(table["n_patients"]) == {3}
    assert (table["f1_low"] <= table["f1"]).all()
    assert (table["f1"] <= table["f1_high"]).all()


def test_nothing_positive_has_no_score() -> None:
    table = score_extraction(FINDINGS.iloc[:0], MANIFEST.assign(**{"Pleural Effusion": 0.0}), REPORTS, SETTINGS)
    row = table.set_index("finding").loc["Pleural Effusion"]
    assert row[["precision", "recall", "f1", "f1_low", "f1_high"]].isna().all()


def test_no_resamples_no_interval() -> None:
    table = score_extraction(FINDINGS, MANIFEST, REPORTS, SETTINGS.model_copy(update={"resamples": 0}))
    assert table[["f1_low", "f1_high"]].isna().all(axis=None)


def test_labels_that_the_cohort_lacks_are_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    table = score_extraction(FINDINGS, MANIFEST.drop(columns="Pneumonia"), REPORTS, SETTINGS)
    assert list(table["finding"]) == ["Pleural Effusion", "micro", "macro"]
    assert table["f1"].eq(0.5).all()
    assert "Pneumonia" in caplog.text


def test_a_cohort_without_any_of_the_labels_is_told() -> None:
    with pytest.raises(UserError, match="Pneumonia") as told:
        score_extraction(FINDINGS, MANIFEST.drop(columns=["Pneumonia", "Pleural Effusion"]), REPORTS, SETTINGS)
    assert "reports.score.labels" in str(told.value)


def test_a_label_that_is_only_missed_does_not_hide_the_precision_of_others() -> None:
    table = score_extraction(FINDINGS[FINDINGS["finding"] == "effusion"], MANIFEST, REPORTS, SETTINGS)
    scores = table.set_index("finding")
    assert pd.isna(scores.loc["Pneumonia", "precision"])
    assert scores.loc["macro", ["precision", "recall", "f1"]].tolist() == [0.5, 0.25, 0.25]


def test_a_study_counts_once_however_often_a_finding_is_mentioned() -> None:
    again = pd.concat([FINDINGS] * 3)
    pd.testing.assert_frame_equal(
        score_extraction(again, MANIFEST, REPORTS, SETTINGS), score_extraction(FINDINGS, MANIFEST, REPORTS, SETTINGS)
    )


def test_extracted_labels_by_hand() -> None:
    findings = pd.DataFrame(
        [("2", "consolidation", "present"), ("1", "edema", "absent"), ("3", "opacity", "present")],
        columns=["study_id", "finding", "status"],
    )
    table = extracted_labels(findings, ["Consolidation", "Edema", "Lung Opacity"])
    assert table.index.tolist() == ["1", "2", "3"]
    assert table.to_numpy().tolist() == [[False] * 3, [True, False, True], [False, False, True]]


def test_a_resample_that_lacks_a_label_leaves_it_out_of_the_average() -> None:
    # Both labels are read without a mistake, so that no resample can score less than 1, whomever it draws.
    studies = [f"s{number}" for number in range(4)]
    manifest = pd.DataFrame({"study_id": studies, "patient_id": studies, "Edema": [1.0, 0, 0, 0], "Fracture": 1.0})
    findings = pd.DataFrame(
        [("s0", "edema", "present"), *((study, "fracture", "present") for study in studies)],
        columns=["study_id", "finding", "status"],
    )
    settings = ScoreSettings(labels=("Edema", "Fracture"), resamples=100)
    reports = pd.DataFrame({"study_id": studies, "text": "x"})
    macro = score_extraction(findings, manifest, reports, settings).set_index("finding").loc["macro"]
    assert macro[["f1", "f1_low", "f1_high"]].tolist() == [1, 1, 1]


def test_unknown_labels_are_refused() -> None:
    with pytest.raises(ValidationError, match="Pneumonya"):
        ScoreSettings(labels=("Pneumonya",))


def test_the_written_twins_agree(tmp_path: Path) -> None:
    for name, table in (("findings", FINDINGS), ("manifest", MANIFEST), ("reports", REPORTS)):
        table.to_parquet(tmp_path / f"{name}.parquet")
    inputs = [tmp_path / f"{name}.parquet" for name in ("findings", "manifest", "reports")]
    write_scores(*inputs, tmp_path / "scores.csv", SETTINGS, "demo-mimic", True)
    csv, parquet = pd.read_csv(tmp_path / "scores.csv"), pd.read_parquet(tmp_path / "scores.parquet")
    assert list(csv["finding"]) == list(parquet["finding"]) == ["Pleural Effusion", "Pneumonia", "micro", "macro"]
    assert csv["simulated"].all()
    assert set(csv["cohort"]) == {"demo-mimic"}
