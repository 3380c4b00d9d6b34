"""Finish Snakemake's HTML report: python -m cxrflow.report.page results/report.html.

Needs: the report, and the results that it was made of. Leaves: the same file, opened by our page, with its tables as
pages to sort and filter, and with figures no wider than the window.
"""

import argparse
import base64
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cxrflow.errors import UserError
from cxrflow.files import write_text
from cxrflow.report.opening import opening
from cxrflow.report.tables import table_page

STYLE = """<style>
  #app img { max-width: 100%; max-height: calc(100vh - 2rem); width: auto; object-fit: contain; }
  #app .grow.items-center { align-items: safe center; justify-content: safe center; }
  #app .prose.max-w-lg { max-width: none; }
  #app .prose code::before, #app .prose code::after { content: none; }
  #app .items-start:has(> div > .prose) { flex-direction: column; }
  #app .prose { font-size: 14px; line-height: 1.5; }
  #app .prose h1 { font-size: 22px; font-weight: 600; margin: 4px 0 8px; }
  #app .prose h2 { font-size: 16px; font-weight: 600; margin: 18px 0 4px; }
  #app .prose p { max-width: 75ch; margin: 0 0 8px; }
  #app .prose table { width: auto; font-size: 13px; border-collapse: collapse; margin: 4px 0 8px; }
  #app .prose th, #app .prose td { text-align: left; padding: 3px 20px 3px 0; border-bottom: 1px solid #e2e8f0; }
  #app .prose pre { font-size: 12px; max-height: 24rem; overflow: auto; background: #f1f5f9; color: #1e293b; }
  #app .prose summary { cursor: pointer; }
</style>
</head>"""
_HINT = "make it anew: `make report`."


def finish(page: str, results: Path) -> str:
    """Return the report with our opening page, tables and style."""
    entries = json.loads(_written(page, "results")[1])
    page = _with(page, "workflow_desc", lambda _: opening(results, entries))
    page = _with(page, "results", lambda entries: {path: _readable(entry) for path, entry in entries.items()})
    return page.replace("</head>", STYLE, 1)


def _with(page: str, name: str, change: Callable[[Any], Any]) -> str:
    """Change one of the values that Snakemake writes into the page."""
    found = _written(page, name)
    changed = json.dumps(change(json.loads(found[1]))).replace("</", "<\\/")
    return page[: found.start(1)] + changed + page[found.end(1) :]


def _written(page: str, name: str) -> re.Match[str]:
    """Find the value of that name, a line of JSON in a script of its own."""
    element = name.replace("_", "-")
    found = re.search(rf'<script id="{element}">\s*var {name} = (.*);$', page, re.MULTILINE)
    if found is None:
        raise UserError(f"The report has no script `{element}`: it is not as this Snakemake writes it.", _HINT)
    return found


def _readable(entry: dict[str, Any]) -> dict[str, Any]:
    """Turn a table, which the report would only offer for download, into a page."""
    if entry["mime_type"] != "text/csv":
        return entry
    content = base64.b64decode(entry["data_uri"].partition("base64,")[2]).decode()
    shown = base64.b64encode(table_page(content).encode()).decode()
    return {**entry, "mime_type": "text/html", "data_uri": f"data:text/html;charset=utf8;base64,{shown}"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m cxrflow.report.page", description="Finish the HTML report.")
    parser.add_argument("report", type=Path, help="the file that `snakemake --report` wrote, in the results folder")
    file: Path = parser.parse_args(arguments).report
    try:
        os.umask(0o777 & ~file.stat().st_mode)  # the finished report is as private as the one that it replaces
        write_text(file, finish(file.read_text(encoding="utf-8"), file.parent))
    except FileNotFoundError as error:
        print(f"{error.filename} is missing.\nHint: {_HINT}", file=sys.stderr)
        return 1
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
