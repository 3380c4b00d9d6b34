"""Sections of MIMIC-CXR reports: as ours cut them, or exactly as the public parser (MIT-LCP/mimic-cxr) does."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from cxrflow.cohort.sections import canonical_name, clean_text, parse_sections

RULES = Path(__file__).with_name("mimic_sections.yaml")
CHOSEN = ("impression", "findings", "last_paragraph", "comparison")
"""The sections that the public code labels from: of the first one that a report has, the last occurrence."""

_HEADER = re.compile(r"\n ([A-Z ()/,-]+):\s")
_BLANK_LINE = "\n \n"
_MAIN = ("impression", "findings")


@dataclass(frozen=True)
class PublicRules:
    """The public parser's tables: studies ruled by hand, section of each header, contained names, phrases for views."""

    sections_by_hand: Mapping[str, str]
    characters_by_hand: Mapping[str, tuple[int, int]]
    section_of: Mapping[str, str]
    contained: tuple[str, ...]
    view_phrases: tuple[str, ...]


@lru_cache(maxsize=1)
def public_rules() -> PublicRules:
    """Read the shipped tables of the public parser."""
    tables = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return PublicRules(
        tables["sections_by_hand"],
        {study: (start, end) for study, (start, end) in tables["characters_by_hand"].items()},
        {header: section for section, headers in tables["headers"].items() for header in headers},
        tuple(tables["contained"]),
        tuple(tables["view_phrases"]),
    )


def mimic_sections(study_id: str, text: str, legacy: bool) -> dict[str, str] | None:
    """Cut the report of a study into sections: name -> text.

    `text` is the whole file: the ranges set by hand count its characters, a line end as one. By default sections are
    those of `parse_sections`, and the 54 studies that the public code rules by hand are ruled as there: a range of
    characters becomes the only section, `impression` (none at all where the range is empty); a section named by hand
    becomes `last_paragraph` and takes the place of findings and impression.

    With `legacy` the sections are those of `public_sections`. The studies ruled by hand are then None, since
    mimic_cxr_sectioned.csv lacks them. That table has the columns study (`s50414267`) and the four of `CHOSEN`, which
    here are the sections of these names: a section that is missing is an empty cell. `report_text(sections, CHOSEN,
    "first")` gives the text that the public code hands to the labelers, with one exception: where `last_paragraph`
    exists but is blank, the public text is empty and ours is the comparison.
    """
    rules = public_rules()
    study = "s" + study_id.removeprefix("s")
    text = text.replace("\r\n", "\n").replace("\r", "\n")  # the public code reads in text mode
    if legacy:
        ruled_by_hand = study in rules.sections_by_hand or study in rules.characters_by_hand
        return None if ruled_by_hand else public_sections(text)
    if study in rules.characters_by_hand:
        start, end = rules.characters_by_hand[study]
        impression = clean_text(text[start:end])
        return {"impression": impression} if impression else {}
    chosen = rules.sections_by_hand.get(study)
    return _with_chosen(text, chosen) if chosen else parse_sections(text)


def public_sections(text: str) -> dict[str, str]:
    """Cut a text exactly as the public parser does, slips included: name -> text with its line breaks, stripped.

    Of sections with the same name the last one stays. A header is a line that opens with a blank, capitals and a colon;
    it is not seen in the text's first line, nor in the line after a header whose line ends with its colon.
    """
    pieces = [(public_name(header), body) for header, body in _cut(text)]
    pieces = [(name, body) for name, body in pieces if name not in _MAIN or body.strip()]
    if not {name for name, _ in pieces}.intersection(_MAIN):
        last, body = pieces[-1]
        first, blank_line, rest = body.partition(_BLANK_LINE)
        if blank_line:
            pieces[-1:] = [(last, first), ("last_paragraph", rest)]
    return {name: body.strip() for name, body in pieces}


def public_name(header: str) -> str:
    """Map a header as the public parser does: its table, then names contained in it, then phrases for views."""
    rules = public_rules()
    name = header.lower().strip()
    if name in rules.section_of:
        return rules.section_of[name]
    for section in rules.contained:
        if section in name:
            return section
    return "findings" if any(phrase in name for phrase in rules.view_phrases) else name


def _cut(text: str) -> list[tuple[str, str]]:
    """Cut at headers: (header, body), `preamble` first; a text without any header is one `full report`."""
    headers = list(_HEADER.finditer(text))
    if not headers:
        return [("full report", text)]
    ends = [*(header.start() for header in headers[1:]), len(text)]
    bodies = [(header[1], text[header.end() : end]) for header, end in zip(headers, ends, strict=True)]
    return [("preamble", text[: headers[0].start(1)]), *bodies]


def _with_chosen(text: str, chosen: str) -> dict[str, str]:
    """Let the section named by hand stand for the report; where the text has none, it is parsed like any other.

    The name refers to the public parser's cut: another header, which only ours sees, must not shorten the section.
    """
    sections = parse_sections(text)
    stands = clean_text(public_sections(text).get(chosen, ""))
    if not stands:
        return sections
    replaced = {*_MAIN, canonical_name(chosen)}
    kept = {name: body for name, body in sections.items() if name not in replaced}
    return {**kept, "last_paragraph": stands}
