import json
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reports.conftest import Extractor

from cxrflow.reports.extract import BATCH, extract_reports, stream, write_extraction
from cxrflow.reports.settings import ExtractSettings

WORDS = [
    "no", "without", "possible", "may", "represent", "pleural", "effusion", "left", "right", "bilateral", "lower",
    "lobe", "heart", "enlarged", "mild", "opacity", "concerning", "for", "pneumonia", "or", "and", ",", ".", "versus",
    "calcified", "granuloma", "in", "the", "spine", "degenerative", "___", "small", "stable", "pneumothorax", "is",
    "likely", "hydropneumothorax", "lingula", "base", "x-___", "2.3",
]  # fmt: skip
LABELS = {"ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA"}


def relations(graph: dict[str, Any]) -> set[tuple[str, str, str]]:
    entities = graph["entities"]
    return {
        (entity["tokens"], kind, entities[target]["tokens"])
        for entity in entities.values()
        for kind, target in entity["relations"]
    }


def labels(graph: dict[str, Any]) -> dict[str, str]:
    return {entity["tokens"]: entity["label"] for entity in graph["entities"].values()}


def test_relations_of_a_positive_sentence(extract: Extractor) -> None:
    graph = extract("Patchy opacity in the left lower lobe concerning for pneumonia.")[1]
    assert {
        ("Patchy", "modify", "opacity"),
        ("opacity", "located_at", "lobe"),
        ("left", "modify", "lobe"),
        ("lower", "modify", "lobe"),
        ("opacity", "suggestive_of", "pneumonia"),
    } <= relations(graph)
    assert labels(graph)["pneumonia"] == "OBS-U"
    assert labels(graph)["opacity"] == labels(graph)["Patchy"] == "OBS-DP"


def test_a_negation_does_not_leak(extract: Extractor) -> None:
    graph = extract("No pleural effusion or pneumothorax.")[1]
    assert labels(graph) == {"pleural": "ANAT-DP", "effusion": "OBS-DA", "pneumothorax": "OBS-DA"}
    assert relations(graph) == {("effusion", "located_at", "pleural")}


def test_what_is_normal_is_an_observation_of_its_anatomy(extract: Extractor) -> None:
    graph = extract("No effusion. The heart is normal in size and the lungs are unremarkable.")[1]
    assert {("normal", "located_at", "heart"), ("unremarkable", "located_at", "lungs")} <= relations(graph)
    assert labels(graph)["normal"] == labels(graph)["unremarkable"] == "OBS-DP"


def test_a_state_is_located_at_its_anatomy(extract: Extractor) -> None:
    found = relations(extract("The heart is mildly enlarged.")[1])
    assert found == {("mildly", "modify", "enlarged"), ("enlarged", "located_at", "heart")}


def test_likely_is_uncertain_in_graphs(extract: Extractor) -> None:
    assert labels(extract("Likely pneumonia.")[1])["pneumonia"] == "OBS-U"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_graphs_are_whole(words: list[str]) -> None:
    reports = pd.DataFrame({"study_id": ["1"], "text": [" ".join(words)]})
    findings, (graph,) = extract_reports(reports, ExtractSettings())
    tokens = graph["text"].split(" ")
    starts = []
    for number, entity in graph["entities"].items():
        assert entity["label"] in LABELS
        assert " ".join(tokens[entity["start_ix"] : entity["end_ix"] + 1]) == entity["tokens"]
        assert all(target in graph["entities"] and target != number for _, target in entity["relations"])
        assert all(kind in ("modify", "located_at", "suggestive_of") for kind, _ in entity["relations"])
        starts.append((entity["start_ix"], entity["end_ix"]))
    assert starts == sorted(set(starts))
    assert list(graph["entities"]) == [str(number) for number in range(1, len(starts) + 1)]
    assert findings["end"].lt(len(tokens)).all()
    assert findings["start"].le(findings["end"]).all()


def test_order_and_content_do_not_depend_on_workers(tmp_path: Path) -> None:
    reports = pd.DataFrame(
        {"study_id": [f"{at:04d}" for at in range(BATCH * 2 + 5)], "text": "Left effusion. No edema."}
    ).iloc[::-1]
    reports.iloc[3, 1] = None
    for workers in (1, 2):
        write_extraction(
            reports, tmp_path / f"{workers}.parquet", tmp_path / f"{workers}.jsonl", ExtractSettings(), workers
        )
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    lines = (tmp_path / "2.jsonl").read_text().splitlines()
    assert lines == (tmp_path / "1.jsonl").read_text().splitlines()
    assert [json.loads(line)["study_id"] for line in lines] == sorted(reports["study_id"])


def test_nothing_to_read_gives_typed_empty_tables() -> None:
    reports = pd.DataFrame({"study_id": pd.Series([], dtype=str), "text": pd.Series([], dtype=str)})
    findings, graphs = extract_reports(reports, ExtractSettings())
    assert graphs == list(stream(reports, ExtractSettings())) == []
    assert list(findings.columns) == ["study_id", "finding", "status", "side", "site", "sentence", "start", "end"]
