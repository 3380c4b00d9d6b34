"""Sections of a radiology report: headers found, names made canonical, blanks and list numbers made uniform."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

BLANK = "___"  # one de-identified piece of text, as MIMIC-CXR writes it
DEFAULT_ORDER = ("findings", "impression")

# A header as in the public MIMIC-CXR parser: a line that opens with capitals and a colon. Capitals only, so that a
# line such as 'Recommendation: ...' inside an impression does not end it.
HEADER = re.compile(r"\n[ \t]*([A-Z][A-Z ()/,-]*):(?=\s|$)")
# Departure from that parser: these names open a section in any case, as other hospitals write them.
ANY_CASE = re.compile(
    r"\n[ \t]*(findings|findings and impression|impression|conclusion|indication|history|clinical history"
    r"|technique|comparison|examination)[ \t]*:(?=\s|$)",
    re.IGNORECASE,
)

# Canonical name -> spellings seen for it (synonyms first, then slips of the keyboard).
SPELLINGS: dict[str, tuple[str, ...]] = {
    "impression": (
        "impression", "impressions", "conclusion", "conclusions", "summary", "opinion", "findings and impression",
        "findings/impression", "findings/ impression", "final impression", "impression and recommendation",
        "imoression", "imperssion", "impession", "impessions", "impresion", "impressoin", "impresson",
        "imprression", "imprssion", "imression", "mpression",
    ),
    "findings": (
        "findings", "finding", "observations", "report", "comment", "comments", "final findings",
        "reference findings", "fidnings", "findgings", "findigns", "findindgs", "findins", "findngs", "findnings",
        "finidngs", "fndings",
    ),
    "indication": (
        "indication", "indications", "clinical indication", "reason for exam", "reason for examination", "reason",
        "reason for study", "clinical question", "indication for exam", "idication", "indcation", "indciation",
        "ndication",
    ),
    "history": (
        "history", "clinical history", "patient history", "clinical information", "clinical data", "medical history",
        "histroy", "hisotry", "clinical hx", "hx",
    ),
    "comparison": (
        "comparison", "comparisons", "comparison exam", "comparison film", "comparison study", "comparison studies",
        "prior studies", "prior study", "reference exam", "compariosn", "comparision",
        "comparisions", "comparisson", "comparrison", "comparsion",
    ),
    "technique": ("technique", "techniques", "procedure", "procedures", "views", "tehcnique", "techinque"),
    "examination": ("examination", "exam", "study", "type of examination", "type of exam", "examiantion"),
    "recommendation": ("recommendation", "recommendations", "recommendation(s)"),
    "notification": ("notification", "notifications", "communication"),
    # Read before the final report, so no part of it. The public MIMIC-CXR parser takes 'PFI' for history and its long
    # form, which contains 'impression', for the impression.
    "wet_read": (
        "wet read", "wetread", "wet reading", "preliminary report", "preliminary read", "pfi",
        "provisional findings impression", "provisional findings impression (pfi)",
    ),
    "addendum": ("addendum", "addenda"),
}  # fmt: skip
_CANONICAL = {spelling: name for name, spellings in SPELLINGS.items() for spelling in spellings}
_MAIN = ("impression", "findings", "comparison", "indication", "history", "technique", "addendum")
_VIEW = re.compile(r"chest|portable|\b(views?|ap|pa|frontal|lateral|radiographs?|bone windows?|ribs)\b")

_BLANKS = re.compile(r"_{2,}|\bX{3,}\b")
_LIST_NUMBER = re.compile(r"(?:^|(?<=[.:;?!])\s|\n)\(?\d{1,2}[.)]\s(?=[A-Z_])|(?:^|\n)[-*•]\s")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_RULE_OFF = re.compile(r"\n[ \t]*[_=-]{5,}[ \t]*(?=\n)")


def parse_sections(text: str) -> dict[str, str]:
    """Split a report into sections: canonical lower-case name -> one-line text without list numbers.

    Text before the first header is `preamble`; a header that no table knows keeps its own lower-case name; sections
    that come twice are joined. Where there is neither findings nor impression, the text after the first blank line of
    the last section becomes `last_paragraph`; without any header that is the whole report when it has no blank line.
    """
    raw = _raw_sections(text)
    raw = [(name, body) for name, body in raw if body.strip() or name not in DEFAULT_ORDER]
    if not {name for name, _ in raw}.intersection(DEFAULT_ORDER):
        raw = _with_last_paragraph(raw)
    sections: dict[str, str] = {}
    for name, body in raw:
        clean = clean_text(body)
        if clean:
            sections[name] = join_sentences([sections[name], clean]) if name in sections else clean
    return sections


def report_text(
    sections: Mapping[str, str], order: Sequence[str] = DEFAULT_ORDER, rule: Literal["join", "first"] = "join"
) -> str:
    """Return what models read of a report; blank sections count as missing.

    `join`: the sections of `order`, one after the other; `first`: the first of them that exists, alone. Where none
    exists it is `last_paragraph`.
    """
    chosen = [sections[name] for name in order if sections.get(name, "").strip()]
    if not chosen:
        return sections.get("last_paragraph", "")
    return chosen[0] if rule == "first" else join_sentences(chosen)


def clean_text(text: str) -> str:
    """Make blanks ('____', 'XXXX') one form, drop list numbers (each item ends as a sentence), collapse whitespace."""
    lines = "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
    items = _LIST_NUMBER.split(_BLANKS.sub(BLANK, lines))
    return join_sentences([" ".join(item.split()) for item in items])


def join_sentences(parts: Sequence[str]) -> str:
    """Join texts with a space, closing each but the last with a full stop where it has no end of its own."""
    kept = [part for part in parts if part.strip()]
    closed = [part if part[-1] in ".?!:;," else f"{part}." for part in kept[:-1]]
    return " ".join([*closed, *kept[-1:]])


def canonical_name(header: str) -> str:
    """Map a header to its canonical name: known spellings, then main names it contains, then phrases for views."""
    name = " ".join(header.lower().split())
    if name in _CANONICAL:
        return _CANONICAL[name]
    for main in _MAIN:
        if main in name:
            return main
    return "findings" if _VIEW.search(name) else name


def _raw_sections(text: str) -> list[tuple[str, str]]:
    """Cut at headers: (canonical name, body with its line breaks), the preamble first."""
    lines = _RULE_OFF.sub("\n", "\n" + text.replace("\r\n", "\n").replace("\r", "\n"))
    found = {match.start(): match for pattern in (ANY_CASE, HEADER) for match in pattern.finditer(lines)}
    headers = [found[start] for start in sorted(found)]
    starts = [*(match.start() for match in headers), len(lines)]
    bodies = [
        (canonical_name(match[1]), lines[match.end() : end]) for match, end in zip(headers, starts[1:], strict=True)
    ]
    return [("preamble", lines[: starts[0]]), *bodies]


def _with_last_paragraph(raw: list[tuple[str, str]]) -> list[tuple[str, str]]:
    name, body = raw[-1]
    first, *rest = _PARAGRAPH.split(body.strip("\n"), maxsplit=1)
    if rest and rest[0].strip():
        return [*raw[:-1], (name, first), ("last_paragraph", rest[0])]
    return [("last_paragraph", body)] if len(raw) == 1 else raw
