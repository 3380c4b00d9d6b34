"""The page of one report: what it holds, what it may not hold, and who may read it."""

import itertools
import json
import os
import stat
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reports.conftest import Extractor

from cxrflow.errors import UserError
from cxrflow.reports.graph_drawing import Box, place_arcs, sentence_svg, text_width, token_boxes
from cxrflow.reports.report_page import ShownReport, drawn_sentences, findings_table, marked_text, report_page
from cxrflow.reports.show import main, show_study

SVG = "{http://www.w3.org/2000/svg}"
TOKENS = ["Patchy", "opacity", "in", "the", "left", "lobe", "may", "be", "pneumonia", ".", "No", "effusion", "."]
TEXT = "Patchy opacity in the left lobe may be pneumonia. No effusion."


def entity(start: int, end: int, label: str, *relations: tuple[str, str]) -> dict[str, object]:
    return {
        "tokens": " ".join(TOKENS[start : end + 1]), "label": label, "start_ix": start, "end_ix": end,
        "relations": [list(relation) for relation in relations],
    }  # fmt: skip


ENTITIES = {
    "1": entity(0, 0, "OBS-DP", ("modify", "2")),
    "2": entity(1, 1, "OBS-DP", ("located_at", "4"), ("suggestive_of", "5")),
    "3": entity(4, 4, "ANAT-DP", ("modify", "4")),
    "4": entity(5, 5, "ANAT-DP"),
    "5": entity(8, 8, "OBS-U"),
    "6": entity(11, 11, "OBS-DA"),
}
FINDINGS = pd.DataFrame(
    {
        "study_id": "s1", "finding": ["opacity", "pneumonia", "pleural_effusion"],
        "status": ["present", "uncertain", "absent"], "side": ["left", None, None], "site": ["lobe", None, None],
        "sentence": [0, 0, 1], "start": [1, 8, 11], "end": [1, 8, 11],
    }
)  # fmt: skip


def elements(svg: str, name: str, kind: str) -> list[ElementTree.Element]:
    return [one for one in ElementTree.fromstring(svg).iter(SVG + name) if kind in one.get("class", "").split()]


def names(svg: str, kind: str) -> list[str | None]:
    return [one.text for one in elements(svg, "text", kind)]


class Tags(HTMLParser):
    """The tags of a page and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def cohort_files(folder: Path, text: str = TEXT) -> Path:
    """Write the tables of a cohort `tiny` with the studies s1 and s10 below `folder`/results."""
    tiny = folder / "results/tiny"
    for room in ("cohort", "reports"):
        (tiny / room).mkdir(parents=True)
    pd.DataFrame({"study_id": ["s10", "s1"], "text": ["Normal.", text]}).to_parquet(tiny / "cohort/reports.parquet")
    FINDINGS.to_parquet(tiny / "reports/findings.parquet")
    graphs = [
        {"study_id": "s10", "text": "Normal .", "entities": {}},
        {"study_id": "s1", "text": " ".join(TOKENS), "entities": ENTITIES},
    ]
    (tiny / "reports/graphs.jsonl").write_text("".join(json.dumps(graph) + "\n" for graph in graphs))
    return folder


@pytest.fixture
def cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Stand in a folder with results of a cohort; the umask that the command line sets is undone afterwards."""
    monkeypatch.chdir(cohort_files(tmp_path))
    before = os.umask(0o022)
    yield tmp_path
    os.umask(before)


def test_a_sentence_has_one_arc_per_relation_and_one_box_per_entity() -> None:
    svg = sentence_svg(TOKENS, ENTITIES, 0, 10)
    assert len(elements(svg, "path", "arc")) == len(elements(svg, "path", "head")) == 4
    assert sorted(str(name) for name in names(svg, "relation")) == ["located_at", "modify", "modify", "suggestive_of"]
    assert sorted(str(name) for name in names(svg, "name")) == ["ANAT-DP", "ANAT-DP", "OBS-DP", "OBS-DP", "OBS-U"]
    assert len(elements(svg, "rect", "entity")) == 5
    assert names(svg, "token") == TOKENS[:10]


def test_an_arc_leads_from_its_source_to_its_target() -> None:
    boxes = {"1": Box(0, 50), "2": Box(60, 100), "3": Box(110, 150)}
    (arc,) = place_arcs(boxes, [("located_at", "3", "1")])
    assert 110 < arc.leaves < 150
    assert 0 < arc.arrives < 50


def test_longer_arcs_run_above_shorter_ones_and_none_meet_at_a_box() -> None:
    boxes = {str(at): Box(at * 60.0, at * 60.0 + 50) for at in range(4)}
    relations = [("modify", "0", "3"), ("modify", "1", "3"), ("modify", "2", "3"), ("located_at", "3", "0")]
    arcs = place_arcs(boxes, relations)
    levels = {(arc.source, arc.target): arc.level for arc in arcs}
    assert levels["2", "3"] < levels["1", "3"] < levels["0", "3"]
    assert levels["0", "3"] != levels["3", "0"]
    ends = [place for arc in arcs for place in (arc.leaves, arc.arrives)]
    assert len(set(ends)) == len(ends)
    at_head = {arc.source: arc.arrives for arc in arcs if arc.target == "3"}
    assert at_head["2"] < at_head["1"] < at_head["0"]  # else the verticals of the longer would cut the shorter


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda pair: pair[0] != pair[1]), max_size=12))
@settings(max_examples=60, deadline=None)
def test_arcs_of_a_level_never_overlap(pairs: list[tuple[int, int]]) -> None:
    boxes = {str(at): Box(at * 55.0, at * 55.0 + 40) for at in range(8)}
    arcs = place_arcs(boxes, [("modify", str(one), str(other)) for one, other in pairs])
    assert len(arcs) == len(pairs)
    for at, one in enumerate(arcs):
        for other in arcs[:at]:
            apart = one.extent()[1] <= other.extent()[0] or other.extent()[1] <= one.extent()[0]
            assert apart or one.level != other.level


def test_tokens_stand_in_a_row_without_overlap() -> None:
    boxes = token_boxes(TOKENS, [(1, 1, "OBS-DP"), (4, 5, "ANAT-DP")])
    assert all(one.right < other.left for one, other in itertools.pairwise(boxes))
    assert text_width("mm", 10) > text_width("ii", 10)


def test_sentences_are_cut_at_full_stops_unless_a_relation_joins_them() -> None:
    assert drawn_sentences(TOKENS, ENTITIES) == [(0, 10), (10, 13)]
    joined = ENTITIES | {"6": entity(11, 11, "OBS-DA", ("suggestive_of", "5"))}
    assert drawn_sentences(TOKENS, joined) == [(0, 13)]
    assert drawn_sentences([], {}) == []


def test_the_text_keeps_its_form_and_its_entities_are_marked() -> None:
    marked = marked_text(TEXT, TOKENS, ENTITIES)
    assert '<mark class="uncertain" title="OBS-U">pneumonia</mark>. No' in marked
    assert '<mark class="absent" title="OBS-DA">effusion</mark>.' in marked
    assert marked.count("<mark") == 6


def test_a_text_that_is_not_that_of_the_graph_gives_way_to_the_graphs() -> None:
    assert "may be" in marked_text("Another report.", TOKENS, ENTITIES)
    assert "Another" not in marked_text("Another report.", TOKENS, ENTITIES)


def test_findings_are_listed_with_their_words_and_a_site_is_shown_where_there_is_one() -> None:
    bounds = drawn_sentences(TOKENS, ENTITIES)
    table = findings_table(FINDINGS, TOKENS, bounds)
    assert "<th>site</th>" in table
    assert "<td>left</td><td>lobe</td><td>opacity</td><td>1</td>" in table
    assert '<mark class="absent">absent</mark>' in table
    assert "<td>pleural effusion</td>" in table
    assert "<td>effusion</td><td>2</td>" in table
    older = findings_table(FINDINGS.drop(columns="site"), TOKENS, bounds)
    assert "site" not in older
    assert "No finding" in findings_table(FINDINGS.iloc[:0], TOKENS, bounds)


def test_everything_from_the_data_is_escaped_and_nothing_is_loaded_or_run() -> None:
    evil = "</title></svg><script>alert('1')</script>&amp;\"<img/src=x>"
    graph = {
        "study_id": "x", "text": f"{evil} .",
        "entities": {"1": {"tokens": evil, "label": evil, "start_ix": 0, "end_ix": 0, "relations": [[evil, "2"]]},
                     "2": {"tokens": ".", "label": "OBS-U", "start_ix": 1, "end_ix": 1, "relations": []}},
    }  # fmt: skip
    findings = FINDINGS.iloc[:1].assign(finding=evil, status=evil, side=evil, site=evil, start=0, end=0)
    page = report_page(ShownReport(evil, f"{evil}.", graph, findings))
    assert "<script" not in page
    assert "<img" not in page
    tags = Tags(page).seen
    assert {tag for tag, _ in tags} <= {
        *("html", "head", "meta", "title", "style", "body", "main", "section", "h1", "h2", "p", "span", "mark", "b"),
        *("table", "thead", "tbody", "tr", "th", "td", "ol", "li", "div", "svg", "rect", "text", "path"),
    }
    assert not [
        name for _, attributes in tags for name in attributes if name.startswith("on") or name in ("src", "href")
    ]
    policy = [values["content"] for tag, values in tags if "http-equiv" in values]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert "url(" not in page
    for drawing in page.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + drawing.partition("</svg>")[0] + "</svg>")  # well-formed


def test_the_page_of_a_read_report_has_all_relations_of_its_graph(extract: Extractor) -> None:
    text = "Small left pleural effusion. Opacity in the right base, concerning for pneumonia or edema. No mass."
    findings, graph = extract(text)
    page = report_page(ShownReport("one", text, graph, findings))
    relations = sum(len(one["relations"]) for one in graph["entities"].values())
    assert relations >= 5
    assert page.count('<path class="arc') == relations
    assert page.count("<svg") == 3
    assert page.count("<tr>") == 1 + len(findings)


def test_a_study_is_shown_in_a_page_that_others_cannot_read(cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cohort", "tiny", "--study", "s1"]) == 0
    page = cohort / "results/tiny/reports/shown/s1.html"
    assert capsys.readouterr().out.strip() == "results/tiny/reports/shown/s1.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "tiny, study s1" in page.read_text()
    assert page.read_text().count('<path class="arc') == 4


def test_the_study_that_was_asked_for_is_shown_and_not_one_with_a_longer_name(cohort: Path) -> None:
    output = show_study("tiny", "s10", cohort / "own.html")
    assert "Normal" in output.read_text()
    assert "pneumonia" not in output.read_text()
    assert "No finding was read" in output.read_text()


@pytest.mark.parametrize("study", ["s", "s2", "S1", "S10"])
def test_a_study_that_is_not_there_is_an_error_with_a_hint(
    cohort: Path, study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="is not among the reports of tiny") as caught:
        show_study("tiny", study)
    assert "Hint: the column study_id of results/tiny/cohort/reports.parquet" in str(caught.value)
    assert main(["--cohort", "tiny", "--study", study]) == 1
    told = capsys.readouterr()
    assert "Hint" in told.err
    assert "Traceback" not in told.err
    assert not (cohort / "results/tiny/reports/shown").exists()


def test_a_report_without_a_graph_and_a_cohort_without_results_are_errors_with_hints(cohort: Path) -> None:
    (cohort / "results/tiny/reports/graphs.jsonl").write_text("")
    with pytest.raises(UserError, match=r"no graph in .*\n?Hint"):
        show_study("tiny", "s1")
    with pytest.raises(UserError, match=r"reports.parquet is missing.\nHint"):
        show_study("other", "s1")


@pytest.mark.parametrize(("name", "study"), [("tiny", "../../../s1"), ("../..", "s1")])
def test_names_cannot_lead_out_of_the_results(cohort: Path, name: str, study: str) -> None:
    with pytest.raises(UserError, match="leads out of"):
        show_study(name, study)


def test_a_plain_report_is_read_and_shown_without_its_headers(cohort: Path) -> None:
    (cohort / "one.txt").write_text("FINDINGS: Left effusion.\n\nIMPRESSION: No pneumothorax.\n")
    assert main(["--text", "one.txt", "--output", "one.html"]) == 0
    page = (cohort / "one.html").read_text()
    assert '<mark class="absent" title="OBS-DA">pneumothorax</mark>' in page
    assert "<td>effusion</td>" in page
    assert "IMPRESSION" not in page
    assert stat.S_IMODE((cohort / "one.html").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00", b"INDICATION:\n"])
def test_a_report_that_cannot_be_read_is_an_error_with_a_hint(
    cohort: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (cohort / "bad.txt").write_bytes(content)
    assert main(["--text", "bad.txt", "--output", "bad.html"]) == 1
    assert "bad.txt" in (told := capsys.readouterr().err)
    assert "Hint" in told
    assert not (cohort / "bad.html").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["--text", "a.txt"], ["--cohort", "tiny"], ["--study", "1"], ["--text", "a", "--cohort", "b"]]
)
def test_arguments_that_do_not_go_together_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
