"""Findings and graphs of a whole cohort, streamed in the order of the studies whatever the number of workers."""

import json
import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from cxrflow.files import atomic_path, write_table
from cxrflow.reports.findings import Mention, mentions
from cxrflow.reports.graphs import build_graph
from cxrflow.reports.lexicon import Lexicon, load_lexicon
from cxrflow.reports.pipeline import ReportParser
from cxrflow.reports.settings import ExtractSettings

logger = logging.getLogger(__name__)

BATCH = 256  # reports handed to a worker at once
PART = 8192  # reports kept in memory before they are written
COLUMN_TYPES = {
    "study_id": "string", "finding": "string", "status": "string", "side": "string",
    "sentence": "int32", "start": "int32", "end": "int32",
}  # fmt: skip
Report = tuple[str, str]


class Extraction(NamedTuple):
    """What one report says: rows of findings.parquet and one line of graphs.jsonl."""

    study_id: str
    findings: list[Mention]
    graph: dict[str, Any]


def extract_reports(
    reports: pd.DataFrame, settings: ExtractSettings, workers: int = 1
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Return the findings table and the graphs of `reports` (columns study_id, text), in order of study_id.

    Everything is kept in memory; `write_extraction` streams the graphs to a file instead.
    """
    extractions = list(stream(reports, settings, workers))
    return _findings_table(extractions), [extraction.graph for extraction in extractions]


def write_extraction(
    reports: pd.DataFrame, findings: Path, graphs: Path, settings: ExtractSettings, workers: int = 1
) -> None:
    """Write findings.parquet and graphs.jsonl; only a few thousand graphs are in memory at a time."""
    extractions = stream(reports, settings, workers)
    tables = [_findings_table([])]
    with atomic_path(graphs) as temporary, open(temporary, "w", encoding="utf-8") as lines:
        while part := list(islice(extractions, PART)):
            lines.writelines(json.dumps(extraction.graph, ensure_ascii=False) + "\n" for extraction in part)
            tables.append(_findings_table(part))
            logger.info("%d more reports read", len(part))
    table = pd.concat(tables, ignore_index=True)
    write_table(findings, table)
    logger.info("%d mentions of findings in %d reports", len(table), len(reports))


def stream(reports: pd.DataFrame, settings: ExtractSettings, workers: int = 1) -> Iterator[Extraction]:
    """Yield the extraction of each report, sorted by study_id (as text)."""
    texts = reports.loc[:, ["study_id", "text"]].fillna({"text": ""}).sort_values("study_id", kind="stable")
    batches = _batches((str(study), str(text)) for study, text in texts.itertuples(index=False))
    work = partial(_extract_batch, settings=settings)
    with ExitStack() as stack:
        if workers > 1 and len(texts) > BATCH:
            # Forked, because a started-afresh worker would run the Snakemake script that started it once more.
            pool = stack.enter_context(multiprocessing.get_context("fork").Pool(workers))
            done: Iterator[list[Extraction]] = pool.imap(work, batches)
        else:
            done = map(work, batches)
        for batch in done:
            yield from batch


def _batches(reports: Iterator[Report]) -> Iterator[list[Report]]:
    while batch := list(islice(reports, BATCH)):
        yield batch


def _extract_batch(batch: Sequence[Report], settings: ExtractSettings) -> list[Extraction]:
    lexicon, parser = _tools()
    parsed = parser.parse((text for _, text in batch), batch=BATCH)
    return [
        Extraction(study, mentions(report, lexicon, settings), build_graph(study, report, lexicon, settings))
        for (study, _), report in zip(batch, parsed, strict=True)
    ]


@lru_cache(maxsize=1)
def _tools() -> tuple[Lexicon, ReportParser]:
    """Build the lexicon and the spaCy pipeline once per process."""
    lexicon = load_lexicon()
    return lexicon, ReportParser(lexicon)


def _findings_table(extractions: Sequence[Extraction]) -> pd.DataFrame:
    rows = [
        (study, row.finding, row.status, row.side, row.sentence, row.start, row.end)
        for study, found, _ in extractions
        for row in found
    ]
    return pd.DataFrame(rows, columns=list(COLUMN_TYPES)).astype(COLUMN_TYPES)
