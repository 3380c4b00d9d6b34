import json
import logging
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from tests.reports.conftest import Extractor
from tests.reports.radgraph_samples import EFFUSION, annotation

from cxrflow import workers
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.errors import UserError
from cxrflow.reports import extract as module
from cxrflow.reports.extract import BATCH, COLUMN_TYPES, extract_reports, write_extraction
from cxrflow.reports.pipeline import Span, sentence_bounds, spelled_out
from cxrflow.reports.settings import ExtractSettings

RADGRAPH = ExtractSettings(extractor="radgraph-json")
Statuses = list[tuple[str, str]]


def statuses(findings: pd.DataFrame) -> Statuses:
    return list(zip(findings["finding"], findings["status"], strict=True))


def written(folder: Path, reports: pd.DataFrame, settings: ExtractSettings, workers: int = 1, **more: Any) -> Path:
    folder.mkdir(exist_ok=True)
    write_extraction(reports, folder / "findings.parquet", folder / "graphs.jsonl", settings, workers, **more)
    return folder


def graphs(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "graphs.jsonl").read_text().splitlines()]


@pytest.fixture
def radgraph_file(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    def write(content: dict[str, Any]) -> Path:
        keyed = {f"p10/p10000000/s{study}.txt": marked for study, marked in content.items()}
        (tmp_path / "train.json").write_text(json.dumps(keyed))
        return tmp_path / "train.json"

    return write


# --- abbreviations and sentences ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A short form says later what its long form says; the definition itself is one mention.
        ("Chronic obstructive lung disease (COLD). No other COLD.", [("copd", "present"), ("copd", "absent")]),
        ("Pulmonary fluid edema (PFE) is new. The PFE is worse.", [("edema", "present"), ("edema", "present")]),
        ("No pulmonary fluid edema (PFE) or effusion.", [("edema", "absent"), ("effusion", "absent")]),
        # A short form that the lexicon knows says nothing of its own where it is defined.
        ("No congestive heart failure (CHF).", [("heart_failure", "absent")]),
        ("There is no COPD (chronic obstructive pulmonary disease).", [("copd", "absent")]),
        # A long form that the lexicon does not know leaves all as it is.
        ("Some unknown thing (SUT) with edema. SUT.", [("edema", "present")]),
    ],
)
def test_short_forms(extract: Extractor, text: str, expected: Statuses) -> None:
    assert statuses(extract(text)[0]) == expected


def test_short_forms_carry_places_too(extract: Extractor) -> None:
    row = extract("The right lower lobe (RLL) was seen. Opacity of the RLL.")[0].iloc[0]
    assert (row["finding"], row["side"]) == ("opacity", "right")


def test_abbreviations_can_be_left_alone(extract: Extractor) -> None:
    text = "Pulmonary fluid edema (PFE) is new. The PFE is worse."
    assert statuses(extract(text, abbreviations=False)[0]) == [("edema", "present")]


def test_definitions_of_one_report_do_not_reach_another() -> None:
    texts = ["Pulmonary fluid edema (PFE).", "The PFE is worse (again)."]
    findings, _ = extract_reports(pd.DataFrame({"study_id": ["1", "2"], "text": texts}), ExtractSettings())
    assert list(findings["study_id"]) == ["1"]


def test_spans_are_spelled_out_in_order() -> None:
    assert spelled_out([Span(4, 5, "observations", "b"), Span(0, 1, "observations", "a")], []) == [
        Span(0, 1, "observations", "a"), Span(4, 5, "observations", "b"),
    ]  # fmt: skip


def test_sentences_end_at_stops_but_not_within_numbers() -> None:
    words = ["A", "nodule", "of", "2", ".", "5", "cm", ".", "Clear", "!"]
    assert list(sentence_bounds(words)) == [(0, 8), (8, 10)]
    assert list(sentence_bounds([])) == []


def test_scispacys_sentences(extract: Extractor) -> None:
    text = "Seen by Dr. Smith with edema. No effusion."
    findings = extract(text, sentences="scispacy")[0]
    assert statuses(findings) == [("edema", "present"), ("effusion", "absent")]
    assert list(findings["sentence"]) == [0, 1]


# --- streams --------------------------------------------------------------------------------------------------------


def test_parts_and_workers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["Left effusion. No edema.", "Mild edema.", ""]
    reports = pd.DataFrame({"study_id": [f"{at:04d}" for at in range(BATCH * 5 + 3)]}).assign(
        text=lambda table: [texts[at % 3] for at in range(len(table))]
    )
    whole = written(tmp_path / "whole", reports, ExtractSettings())
    monkeypatch.setattr(module, "PART", 300)
    monkeypatch.setattr(workers, "AHEAD", 1)
    parts = written(tmp_path / "parts", reports.sample(frac=1, random_state=0), ExtractSettings(), workers=2)
    assert pq.ParquetFile(parts / "findings.parquet").num_row_groups > 1
    pd.testing.assert_frame_equal(*(pd.read_parquet(at / "findings.parquet") for at in (whole, parts)))
    assert graphs(whole) == graphs(parts)
    assert [graph["study_id"] for graph in graphs(parts)] == sorted(reports["study_id"])
    assert list(pd.read_parquet(parts / "findings.parquet").columns) == list(COLUMN_TYPES)


def test_memory_does_not_grow_with_the_number_of_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART", 64)
    monkeypatch.setattr(module, "BATCH", 32)
    text = "Small left effusion. No edema. The heart is enlarged. " * 8

    def peak(count: int) -> int:
        reports = pd.DataFrame({"study_id": [f"{at:06d}" for at in range(count)], "text": text})
        tracemalloc.start()
        written(tmp_path / "out", reports, ExtractSettings())
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(64)  # loads the lexicon and the pipeline
    assert peak(640) < 1.5 * peak(128)


def test_nothing_to_write_is_a_typed_table(tmp_path: Path) -> None:
    reports = pd.DataFrame({"study_id": pd.Series([], dtype=str), "text": pd.Series([], dtype=str)})
    out = written(tmp_path / "out", reports, ExtractSettings())
    table = pd.read_parquet(out / "findings.parquet")
    assert {name: str(kind) for name, kind in table.dtypes.items()} == COLUMN_TYPES
    assert (out / "graphs.jsonl").read_text() == ""


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    reports = pd.DataFrame({"study_id": ["1"], "text": ["Edema."]})
    with pytest.raises(UserError):
        written(tmp_path / "out", reports, ExtractSettings(extractor="scispacy-model", model="no_such_model"))
    assert list((tmp_path / "out").iterdir()) == []


# --- published annotations ------------------------------------------------------------------------------------------


def test_annotations_become_findings_and_graphs(tmp_path: Path, radgraph_file: Callable[..., Path]) -> None:
    edema = annotation("edema .", ("edema", "OBS-U", []))
    file = radgraph_file({"50000002": EFFUSION, "50000001": edema, "50000009": EFFUSION})
    reports = pd.DataFrame({"study_id": ["50000002", "50000003", "50000001"], "text": ["x", "No  edema.", "y"]})
    refused = Quarantine("reports_extract")
    out = written(tmp_path / "out", reports, RADGRAPH, annotations=[file], refused=refused)
    table = pd.read_parquet(out / "findings.parquet")
    assert list(table[["study_id", "finding", "status"]].itertuples(index=False, name=None)) == [
        ("50000001", "edema", "uncertain"), ("50000002", "effusion", "present"), ("50000002", "pneumothorax", "absent"),
    ]  # fmt: skip
    first, second, third = graphs(out)
    assert (first["text"], second["text"]) == ("edema .", EFFUSION["text"])
    assert second["entities"] == EFFUSION["entities"]
    assert third == {"study_id": "50000003", "text": "No edema.", "entities": {}}
    assert refused.rows == [("reports.parquet", "50000003", "reports_extract", "no RadGraph annotation")]


def test_what_is_refused_is_told_once_a_study(tmp_path: Path, radgraph_file: Callable[..., Path]) -> None:
    bent = annotation("edema .", ("edema", "OBS-DP", [("modify", 8), ("modify", 9), ("shows", 1)]))
    refused = Quarantine("reports_extract")
    reports = pd.DataFrame({"study_id": ["50000001"], "text": ["x"]})
    written(tmp_path / "out", reports, RADGRAPH, annotations=[radgraph_file({"50000001": bent})], refused=refused)
    assert [row[:2] for row in refused.rows] == [("train.json", "50000001")] * 2
    assert {row[3] for row in refused.rows} == {
        "a relation leads to an entity that the report lacks", "a relation has an unknown type",
    }  # fmt: skip


def test_an_annotation_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_bytes(b'{"s50000001.txt": {"text": "caf\xe9", "entities": {}}}')
    refused = Quarantine("reports_extract")
    reports = pd.DataFrame({"study_id": ["50000001"], "text": ["x"]})
    written(tmp_path / "out", reports, RADGRAPH, annotations=[tmp_path / "train.json"], refused=refused)
    assert [row[3] for row in refused.rows] == ["the annotation is not in UTF-8"]


def test_order_of_studies_with_annotations_and_workers(tmp_path: Path, radgraph_file: Callable[..., Path]) -> None:
    studies = [f"5{at:07d}" for at in range(BATCH * 2 + 5)]
    file = radgraph_file(dict.fromkeys(reversed(studies), EFFUSION))
    reports = pd.DataFrame({"study_id": studies, "text": "x"}).sample(frac=1, random_state=0)
    one, two = (written(tmp_path / str(n), reports, RADGRAPH, n, annotations=[file]) for n in (1, 2))
    assert (one / "graphs.jsonl").read_bytes() == (two / "graphs.jsonl").read_bytes()
    assert (one / "findings.parquet").read_bytes() == (two / "findings.parquet").read_bytes()
    assert [graph["study_id"] for graph in graphs(two)] == studies


def test_no_study_and_no_text_of_a_cohort_is_logged(
    tmp_path: Path, radgraph_file: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    reports = pd.DataFrame({"study_id": ["50000001", "50000002"], "text": "secret"})
    with caplog.at_level(logging.DEBUG):
        file = radgraph_file({"50000001": EFFUSION})
        written(tmp_path / "out", reports, RADGRAPH, annotations=[file], refused=Quarantine("rule"))
    assert "read" in caplog.text
    assert not any(word in caplog.text for word in ("5000000", "secret", "effusion"))
