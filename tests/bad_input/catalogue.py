"""All bad inputs, and the document that lists them: `python -m tests.bad_input.catalogue` writes it anew."""

from pathlib import Path

from tests.bad_input.case import Area, Case
from tests.bad_input.image_cases import IMAGES
from tests.bad_input.mimic_cases import MIMIC
from tests.bad_input.other_cases import OTHERS
from tests.bad_input.report_cases import TEXTS
from tests.bad_input.slice_cases import CT

AREAS: tuple[Area, ...] = (*MIMIC, *IMAGES, *OTHERS, *CT, *TEXTS)
DOCUMENT = "docs/bad_input.md"
HEAD = """# Bad input

What is wrong in the raw files, and how it ends. A **row** is refused alone: it stands in `results/quarantine/`, and the
run goes on as long as no more than `maximum_quarantined` of the cohort's input is refused (`on_bad_input: fail` stands
for none). An **error** ends the run with a message and a hint, since nothing that follows could be trusted. No bad
input is taken in silence. Each line below is a test: this page is written from the table that drives them
(`python -m tests.bad_input.catalogue`).
"""


def document() -> str:
    """Return the page."""
    return "\n".join([HEAD, *("\n".join(_section(area)) for area in AREAS)])


def _section(area: Area) -> list[str]:
    lines = [_line(case) for case in area.cases]
    return [f"## {area.title}", "", "| what is bad | where | ends in | what is told |", "|---|---|---|---|", *lines, ""]


def _line(case: Case) -> str:
    told = case.told if case.end == "row" else f"… {case.told} …" if case.told else ""
    cells = (case.bad, f"`{case.place}`", case.end, told)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


if __name__ == "__main__":
    Path(DOCUMENT).write_text(document())
