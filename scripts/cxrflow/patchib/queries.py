"""The text that goes with the radiographs of a report: which of its sections, in which order."""

import re
from collections.abc import Mapping

from cxrflow.cohort.sections import DEFAULT_ORDER, join_sentences
from cxrflow.patchib.data_settings import TextSections

SOURCES: dict[TextSections, tuple[str, ...]] = {
    "all": ("whole report",),
    "findings_impression": ("findings and impression", "findings", "impression", "last paragraph"),
    "impression": ("impression", "findings", "last paragraph"),
}
"""Where a text can come from, by the sections that are wanted."""

_OPENING = ("preamble", "examination", "indication", "history", "technique", "comparison")
_WITHOUT_HEADER = ("", "preamble", "last_paragraph", "full report")
# How the canonical reports write their other sections, a line each. In the legacy cut a section has several lines: one
# that happens to look like a header becomes a section of its own, and no word is lost.
_OTHER = re.compile(r"([a-z ()/,_-]+): ?(.*)")


def report_sections(findings: str, impression: str, other: str) -> dict[str, str]:
    """Return the sections of a canonical report on one line each, in the order of a report; empty ones are left out.

    `|` becomes a blank: there are readers to whom it ends a text.
    """
    name, opening, closing = "", dict[str, str](), dict[str, str]()
    for line in other.split("\n"):
        headed = _OTHER.fullmatch(line)
        name, text = headed.groups() if headed and headed[1] not in DEFAULT_ORDER else (name, line)
        part = opening if name in _OPENING else closing
        part[name] = f"{part.get(name, '')} {text}"
    sections = {**opening, "findings": findings, "impression": impression, **closing}
    tidy = {name: " ".join(text.replace("|", " ").split()) for name, text in sections.items()}
    return {name: text for name, text in tidy.items() if text}


def whole_report(sections: Mapping[str, str]) -> str:
    """Return all sections, one after the other, each after its header in capitals where reports have one."""
    parts = [text if name in _WITHOUT_HEADER else f"{name.upper()}: {text}" for name, text in sections.items()]
    return join_sentences(parts)


def report_query(sections: Mapping[str, str], wanted: TextSections) -> tuple[str, str]:
    """Return the text that goes with the images of a report, and which sections it comes from (see `SOURCES`).

    Departure from the released code, which cuts at the first literal `FINDINGS:` or `IMPRESSION:`: there a report
    without that word comes whole, its indication included, and one with it keeps all that follows. Ours falls back
    from the impression to the findings, and from both to the last paragraph; without any of them it is empty.
    """
    if wanted == "all":
        return whole_report(sections), SOURCES["all"][0]
    order = DEFAULT_ORDER if wanted == "findings_impression" else DEFAULT_ORDER[::-1]
    used = [name for name in order if name in sections] or [name for name in ("last_paragraph",) if name in sections]
    used = used[:1] if wanted == "impression" else used
    return join_sentences([sections[name] for name in used]), " and ".join(used).replace("_", " ")
