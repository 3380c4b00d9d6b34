"""One report as a page for people: its text with the entities marked, its findings, its graph. Needs no network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import pandas as pd

from cxrflow.reports.graph_drawing import ENTITY_CLASSES, FONT, RELATION_CLASSES, SMALL, sentence_svg
from cxrflow.reports.sentences import sentence_bounds

MEANINGS = {
    "ANAT-DP": "anatomy", "OBS-DP": "observation, present", "OBS-U": "observation, uncertain",
    "OBS-DA": "observation, absent",
}  # fmt: skip
STATUSES = ("present", "uncertain", "absent")
# Fill, line and writing of each kind. Blue, vermilion and yellow stay apart for every kind of colour vision; what is
# uncertain or absent has a broken line as well.
_COLOURS = {
    "anatomy": ("#d6e8f7", "#0072b2", "#00507d"),
    "present": ("#fbd9c8", "#d55e00", "#963f00"),
    "uncertain": ("#fdf0b0", "#b08a00", "#6f5700"),
    "absent": ("#ebebeb", "#6b6b6b", "#4a4a4a"),
    "other": ("#ffffff", "#999999", "#555555"),
}
_LINES = {"modify": "#6b6b6b", "located": "#0072b2", "suggestive": "#a03070", "other": "#999999"}
_DASHES = {"uncertain": "4 2", "absent": "1.5 2.5"}


@dataclass(frozen=True)
class ShownReport:
    """What a page shows: a title, the text, the graph (one line of graphs.jsonl), the rows of findings.parquet."""

    title: str
    text: str
    graph: Mapping[str, Any]
    findings: pd.DataFrame


def report_page(report: ShownReport) -> str:
    """Return the page as HTML; everything that came from data is escaped, and no script runs on it."""
    title, tokens, entities = escape(report.title), report.graph["text"].split(" "), report.graph["entities"]
    tokens = [token for token in tokens if token]
    bounds = drawn_sentences(tokens, entities)
    drawings = [
        f'<li><div class="row">{sentence_svg(tokens, entities, start, end)}</div></li>' for start, end in bounds
    ]
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><style>{style()}</style></head>
<body><main><h1>{title}</h1>
<section><h2>Text</h2><p class="text">{marked_text(report.text, tokens, entities)}</p>{entity_legend()}</section>
<section><h2>Findings</h2>{findings_table(report.findings, tokens, bounds)}</section>
<section><h2>Graph</h2>{relation_legend()}<ol class="graph">{"".join(drawings)}</ol></section>
</main></body></html>
"""


def drawn_sentences(tokens: Sequence[str], entities: Mapping[str, Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Cut tokens into sentences at full stops, as the extraction does: (start, end), the end exclusive.

    Where an entity or a relation leads from one sentence into another, as foreign annotations may, both stay together.
    """
    cuts = [end for _, end in sentence_bounds(tokens)]
    for entity in entities.values():
        reached = [entity, *(entities[target] for _, target in entity["relations"])]
        first = min(one["start_ix"] for one in reached)
        last = max(one["end_ix"] for one in reached)
        cuts = [cut for cut in cuts if not first < cut <= last]
    edges = sorted({0, *cuts, len(tokens)})
    return list(pairwise(edges))


def marked_text(text: str, tokens: Sequence[str], entities: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text as HTML with its entities marked; of overlapping ones the first is."""
    places = token_places(text, tokens)
    if places is None:  # the text was edited since: show what the graph was read from
        text = " ".join(tokens)
        places = token_places(text, tokens) or []
    parts, done = [], 0
    for entity in sorted(entities.values(), key=lambda one: (one["start_ix"], -one["end_ix"])):
        start, end = places[entity["start_ix"]][0], places[entity["end_ix"]][1]
        if start < done:
            continue
        kind, label = ENTITY_CLASSES.get(entity["label"], "other"), escape(str(entity["label"]))
        parts += [escape(text[done:start]), f'<mark class="{kind}" title="{label}">{escape(text[start:end])}</mark>']
        done = end
    return "".join([*parts, escape(text[done:])])


def token_places(text: str, tokens: Sequence[str]) -> list[tuple[int, int]] | None:
    """Find tokens in the text they were cut from: (start, end) in letters; None where they are not those of `text`."""
    places, at = [], 0
    for token in tokens:
        at += len(text[at:]) - len(text[at:].lstrip())
        if not text.startswith(token, at):
            return None
        places.append((at, at + len(token)))
        at += len(token)
    return places if not text[at:].strip() else None


def findings_table(findings: pd.DataFrame, tokens: Sequence[str], bounds: Sequence[tuple[int, int]]) -> str:
    """Return the findings as an HTML table, in the order of the text; `site` is shown where the table has it."""
    if findings.empty:
        return "<p>No finding was read from this text.</p>"
    columns = [name for name in ("finding", "status", "side", "site") if name in findings]
    heads = "".join(f"<th>{name}</th>" for name in (*columns, "words", "sentence"))
    rows = [
        "".join(
            f"<td>{cell}</td>" for cell in (*(_cell(name, row[name]) for name in columns), *_where(row, tokens, bounds))
        )
        for row in findings.sort_values(["start", "end"], kind="stable").to_dict("records")
    ]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    note = "What is likely, or one of two possibilities, counts here as the settings say; the graph marks it uncertain."
    return f'<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table><p class="note">{note}</p>'


def _cell(name: str, value: Any) -> str:
    if pd.isna(value):
        return '<span class="none">&ndash;</span>'
    text = escape(str(value).replace("_", " "))
    return f'<mark class="{value}">{text}</mark>' if name == "status" and value in STATUSES else text


def _where(row: Mapping[Any, Any], tokens: Sequence[str], bounds: Sequence[tuple[int, int]]) -> Iterator[str]:
    yield escape(" ".join(tokens[row["start"] : row["end"] + 1]))
    yield str(next((number for number, (start, end) in enumerate(bounds, 1) if start <= row["start"] < end), ""))


def entity_legend() -> str:
    """Return what the looks of entities mean, as HTML."""
    items = [f'<mark class="{ENTITY_CLASSES[label]}">{label}</mark> {text}' for label, text in MEANINGS.items()]
    return '<p class="legend">' + "".join(f"<span>{item}</span>" for item in items) + "</p>"


def relation_legend() -> str:
    """Return what the looks of relations mean, as HTML."""
    texts = {
        "modify": "describes its target", "located_at": "observation to its anatomy",
        "suggestive_of": "observation to what it may mean",
    }  # fmt: skip
    items = [f'<b class="relation {RELATION_CLASSES[kind]}">{kind}</b> {text}' for kind, text in texts.items()]
    return '<p class="legend">' + "".join(f"<span>{item}</span>" for item in items) + "</p>"


def style() -> str:
    """Return the page's style sheet."""
    rules = [
        "body{margin:0;background:#fff;color:#1c1c1c;font:16px/1.6 Helvetica,Arial,'Liberation Sans',sans-serif}",
        "main{max-width:1140px;margin:0 auto;padding:22px 30px}h1{font-size:22px;margin:0}",
        "h2{font-size:13px;letter-spacing:.08em;text-transform:uppercase;color:#666;margin:22px 0 8px;"
        "border-bottom:1px solid #ddd}",
        ".text{font-size:17px;line-height:1.85;margin:0;white-space:pre-line}",
        "mark{color:inherit;padding:1px 4px;border-radius:4px;border:1px solid}",
        ".legend{font-size:13px;color:#444;margin:10px 0}.legend span{margin-right:24px;white-space:nowrap}",
        "table{border-collapse:collapse;font-size:15px}th{text-align:left;color:#666;font-weight:normal;font-size:13px}",
        "td,th{padding:3px 26px 3px 0;border-bottom:1px solid #eee}.none{color:#aaa}.note{font-size:13px;color:#666}",
        ".graph{padding-left:24px;margin:0;color:#888;font-size:13px}.row{overflow-x:auto;margin-bottom:2px}",
        "svg{display:block;max-width:100%;height:auto;font-family:inherit}svg text{text-anchor:middle}",
        f"svg .token{{font-size:{FONT}px;fill:#1c1c1c}}svg .name,svg .relation{{font-size:{SMALL}px}}",
        "svg .entity{stroke-width:1.2}svg .arc{fill:none;stroke-width:1.4}",
    ]
    for kind, (fill, line, writing) in _COLOURS.items():
        broken = "solid" if kind not in _DASHES else {"uncertain": "dashed", "absent": "dotted"}[kind]
        dashes = f";stroke-dasharray:{_DASHES[kind]}" if kind in _DASHES else ""
        rules.append(f"mark.{kind}{{background:{fill};border-color:{line};border-style:{broken}}}")
        rules.append(f"svg .entity.{kind}{{fill:{fill};stroke:{line}{dashes}}}svg .name.{kind}{{fill:{writing}}}")
    for kind, line in _LINES.items():
        rules.append(f"svg .arc.{kind}{{stroke:{line}}}svg .head.{kind},svg .relation.{kind}{{fill:{line}}}")
        rules.append(f"b.relation.{kind}{{color:{line}}}")
    return "".join(rules)
