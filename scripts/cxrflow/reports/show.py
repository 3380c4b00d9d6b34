"""Draw one report with its findings and its graph: python -m cxrflow.reports.show --help.

Needs: a plain report, or a cohort whose reports were extracted. Leaves: one HTML page that only its maker can read.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cxrflow.cohort.sections import parse_sections, report_text
from cxrflow.errors import UserError
from cxrflow.files import confined, write_text
from cxrflow.reports.report_page import ShownReport, report_page

RESULTS = Path("results")


def show_text(file: Path, output: Path) -> None:
    """Read a plain report (findings and impression, or its last paragraph) with the default settings and draw it."""
    from cxrflow.reports.extract import extract_reports  # spaCy takes seconds; a cohort's reports are already read
    from cxrflow.reports.settings import ExtractSettings

    try:
        text = report_text(parse_sections(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The report {file} can't be read: {error}.", "name a text file in UTF-8.") from None
    if not text:
        raise UserError(
            f"The report {file} holds no text to read.", "it wants findings, an impression, or text without headers."
        )
    reports = pd.DataFrame({"study_id": [file.stem], "text": [text]})
    findings, graphs = extract_reports(reports, ExtractSettings())
    write_text(output, report_page(ShownReport(file.name, text, graphs[0], findings)))


def show_study(cohort: str, study: str, output: Path | None = None, results: Path = RESULTS) -> Path:
    """Draw a study of an extracted cohort; return the page's path, results/<cohort>/reports/shown/<study>.html.

    Raises UserError where the cohort's reports are not extracted or have no such study.
    """
    confined(results, cohort)
    folder = results / cohort
    pages, page = folder / "reports/shown", f"{study}.html"
    confined(pages, page)
    output = output or pages / page
    reports = _rows(folder / "cohort/reports.parquet", study)
    if reports.empty:
        raise UserError(
            f"The study {study!r} is not among the reports of {cohort}.",
            f"the column study_id of {folder / 'cohort/reports.parquet'} has the names of all.",
        )
    text = reports["text"].fillna("").iloc[0]
    graph, findings = _graph(folder / "reports/graphs.jsonl", study), _rows(folder / "reports/findings.parquet", study)
    write_text(output, report_page(ShownReport(f"{cohort}, study {study}", text, graph, findings)))
    return output


def _rows(table: Path, study: str) -> pd.DataFrame:
    _present(table)
    return pd.read_parquet(table, filters=[("study_id", "==", study)])


def _graph(graphs: Path, study: str) -> dict[str, Any]:
    """Find a study's graph; only lines that hold its name are parsed, since there may be 200,000 of them."""
    _present(graphs)
    name = json.dumps(study, ensure_ascii=False)
    with open(graphs, encoding="utf-8") as lines:
        for line in lines:
            if name in line and (graph := json.loads(line))["study_id"] == study:
                return dict(graph)
    raise UserError(
        f"The study {study!r} has a report and no graph in {graphs}.",
        "the reports changed since: run the workflow again.",
    )


def _present(file: Path) -> None:
    if not file.is_file():
        raise UserError(
            f"{file} is missing.", "run the workflow for this cohort first; `ls results` names those that were run."
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m cxrflow.reports.show", description="Draw one report as a page.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", type=Path, metavar="FILE", help="a plain report; wants --output")
    source.add_argument("--cohort", metavar="NAME", help="a cohort under results/; wants --study")
    parser.add_argument("--study", metavar="ID", help="a study of the cohort")
    parser.add_argument("--output", type=Path, metavar="FILE.html", help="the page to write")
    chosen = parser.parse_args(arguments)
    if chosen.text and not chosen.output:
        parser.error("--text wants --output FILE.html")
    if bool(chosen.cohort) != bool(chosen.study):
        parser.error("--cohort and --study go together")
    os.umask(0o077)
    try:
        if chosen.text:
            show_text(chosen.text, chosen.output)
        output = chosen.output if chosen.text else show_study(chosen.cohort, chosen.study, chosen.output)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
