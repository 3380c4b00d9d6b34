"""Parsers given anything: a result, refused rows or an error with a hint, and never another exception."""

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bad_input import mimic_cases, other_cases, report_cases
from tests.bad_input.case import Area
from tests.cohort.test_openi_adapter import xml
from tests.reports.radgraph_samples import EFFUSION

from cxrflow.cohort.mimic_sections import mimic_sections
from cxrflow.cohort.openi import parse_report
from cxrflow.cohort.sections import parse_sections, report_text
from cxrflow.errors import UserError
from cxrflow.reports.json_items import json_items
from cxrflow.reports.radgraph_schema import graph_of, joined, read_annotation

# Pieces that reports are made of, in any order and number, between any other characters.
REPORT_PIECES = st.sampled_from(
    ["FINDINGS:", " IMPRESSION: ", "\n", "\n \n", "\r\n", "____", "XXXX", "1. ", "(", "CHEST, AP:", "\0", "\u2028", ":"]
)
REPORTS = st.lists(REPORT_PIECES | st.text(max_size=20), max_size=30).map("".join)
CELLS = st.sampled_from(["", "0", "-1", "1.0", "nan", "inf", "1e400", '"', ",", "../x", "\0", "Ω", "a" * 300, "PA"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TABLES = {
    "MIMIC-CXR-JPG": (mimic_cases.MIMIC[0], [mimic_cases.METADATA, mimic_cases.SPLIT, mimic_cases.LABELS]),
    "NIH ChestX-ray14": (other_cases.OTHERS[0], [other_cases.ENTRY, "test_list.txt"]),
    "CheXpert": (other_cases.OTHERS[2], ["train.csv", "valid.csv"]),
    "CheXpert Plus": (other_cases.OTHERS[3], [other_cases.TABLE, other_cases.JSON]),
    "Open-I": (report_cases.TEXTS[1], ["indiana_reports.csv", "indiana_projections.csv"]),
}


@given(REPORTS, st.booleans(), st.sampled_from(["50000001", "58235663", "x"]))
@settings(max_examples=200)
def test_any_text_has_sections_and_no_section_is_blank(text: str, legacy: bool, study: str) -> None:
    sections = parse_sections(text)
    assert all(body.strip() and "\n" not in body for body in sections.values())
    assert isinstance(report_text(sections), str)
    ruled = mimic_sections(study, text, legacy)
    assert ruled is None or all(isinstance(body, str) for body in ruled.values())


@given(REPORTS)
@settings(max_examples=100)
def test_sections_invent_no_word(text: str) -> None:
    words = set(text.replace(":", " : ").split())
    letters = {word for word in " ".join(parse_sections(text).values()).split() if word.isalpha()}
    assert all(any(word in written for written in words) for word in letters)


def edits(draw: Callable[[Any], Any], content: bytes) -> bytes:
    """Put a cell, or any bytes, in place of a few stretches of a file; cut it off at times."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 12)))
        content = content[:start] + draw(CELLS.map(str.encode) | st.binary(max_size=6)) + content[end:]
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 9)) == 0 else content


@pytest.mark.parametrize("name", TABLES)
@given(data=st.data())
@settings(max_examples=25)
def test_an_edited_table_is_read_refused_or_told(name: str, data: st.DataObject) -> None:
    area, files = TABLES[name]
    with TemporaryDirectory() as folder:
        made = built(area, Path(folder))
        path = made.root / data.draw(st.sampled_from(files))
        packed = path.suffix == ".gz"
        content = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
        changed = edits(data.draw, content)
        path.write_bytes(gzip.compress(changed) if packed else changed)
        with suppress(UserError):
            assert all(isinstance(reason, str) for reason in area.read(made))


def built(area: Area, folder: Path) -> Any:
    (folder / "data").mkdir()
    return area.build(folder / "data")


@given(data=st.data())
@settings(max_examples=100)
def test_an_edited_xml_report_is_read_or_told(data: st.DataObject) -> None:
    with suppress(UserError):
        assert parse_report(edits(data.draw, xml("2").encode()), "2.xml").uid.isdigit()


@given(JSON, JSON, st.dictionaries(st.sampled_from(["tokens", "label", "start_ix", "end_ix", "relations"]), JSON))
@settings(max_examples=200)
def test_any_annotation_gives_a_sound_graph(record: Any, entities: Any, fields: dict[str, Any]) -> None:
    changed = {"text": EFFUSION["text"], "entities": {**EFFUSION["entities"]}}
    changed["entities"]["4"] = {**changed["entities"]["4"], **fields}
    for raw in (record, {"text": "a b c", "entities": entities}, changed):
        graph = graph_of("1", joined([read_annotation(raw)]))
        tokens = graph["text"].split()
        for entity in graph["entities"].values():
            assert " ".join(tokens[entity["start_ix"] : entity["end_ix"] + 1]) == entity["tokens"]
            assert {target for _, target in entity["relations"]} <= set(graph["entities"])


@given(data=st.data())
@settings(max_examples=100)
def test_an_edited_radgraph_file_is_read_or_told(data: st.DataObject) -> None:
    content = json.dumps(dict.fromkeys(report_cases.KEYS, EFFUSION)).encode()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "graphs.json"
        path.write_bytes(edits(data.draw, content))
        with suppress(UserError):
            assert all(item.length > 0 for item in json_items(path))


@given(data=st.data())
@settings(max_examples=25)
def test_an_edited_radgraph_file_ends_in_graphs_rows_or_an_error(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        made = report_cases.annotations(Path(folder))
        path = made / report_cases.RADGRAPH_FILE
        path.write_bytes(edits(data.draw, path.read_bytes()))
        with suppress(UserError):
            assert all(isinstance(reason, str) for reason in report_cases.read_annotations(made))
            assert len(pd.read_json(made / "graphs.jsonl", lines=True)) == 3
