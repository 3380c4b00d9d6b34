"""Findings and graphs of a whole cohort, streamed in the order of the studies whatever the number of workers."""

import json
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cxrflow.cohort.quarantine import Quarantine
from cxrflow.files import atomic_path
from cxrflow.reports.extractors import Extraction, Report, extractor_of
from cxrflow.reports.radgraph_files import Place, locate_annotations
from cxrflow.reports.settings import ExtractSettings
from cxrflow.workers import forked

logger = logging.getLogger(__name__)

BATCH = 256  # reports handed to a worker at once
PART = 8192  # reports kept in memory before they are written
COLUMN_TYPES = {
    "study_id": "string", "finding": "string", "status": "string", "side": "string", "site": "string",
    "sentence": "int32", "start": "int32", "end": "int32",
}  # fmt: skip


def extract_reports(
    reports: pd.DataFrame, settings: ExtractSettings, workers: int = 1, annotations: Sequence[Path] = ()
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Return the findings table and the graphs of `reports` (columns study_id, text), in order of study_id.

    Everything is kept in memory; `write_extraction` streams to files instead.
    """
    extractions = list(stream(reports, settings, workers, annotations))
    return _findings_table(extractions), [extraction.graph for extraction in extractions]


def write_extraction(
    reports: pd.DataFrame,
    findings: Path,
    graphs: Path,
    settings: ExtractSettings,
    workers: int = 1,
    annotations: Sequence[Path] = (),
    refused: Quarantine | None = None,
) -> None:
    """Write findings.parquet and graphs.jsonl a part at a time: memory does not grow with the number of reports.

    `annotations` are the files of the extractor radgraph-json; what is wrong with them is added to `refused`.
    """
    schema = pa.Schema.from_pandas(_findings_table([]), preserve_index=False)
    extractions = stream(reports, settings, workers, annotations)
    mentions = 0
    with (
        atomic_path(graphs) as lines_path,
        atomic_path(findings) as rows_path,
        open(lines_path, "w", encoding="utf-8") as lines,
        pq.ParquetWriter(rows_path, schema) as rows,
    ):
        while part := list(islice(extractions, PART)):
            lines.writelines(json.dumps(extraction.graph, ensure_ascii=False) + "\n" for extraction in part)
            table = _findings_table(part)
            rows.write_table(pa.Table.from_pandas(table, schema=schema, preserve_index=False))
            mentions += len(table)
            _refuse(part, refused)
            logger.info("%d more reports read", len(part))
    logger.info("%d mentions of findings in %d reports", mentions, len(reports))


def stream(
    reports: pd.DataFrame, settings: ExtractSettings, workers: int = 1, annotations: Sequence[Path] = ()
) -> Iterator[Extraction]:
    """Yield the extraction of each report, sorted by study_id (as text)."""
    places: dict[str, tuple[Place, ...]] = {}
    if settings.extractor == "radgraph-json":
        places = locate_annotations(annotations, reports)
    texts = reports.loc[:, ["study_id", "text"]].fillna({"text": ""}).sort_values("study_id", kind="stable")
    rows = ((str(study), str(text)) for study, text in texts.itertuples(index=False))
    batches = _batches(Report(study, text, places.get(study, ())) for study, text in rows)
    extractor_of(settings)  # before any fork: workers share what is loaded, and a missing model is told here
    work = partial(_extract_batch, settings=settings)
    with forked(workers if len(texts) > BATCH else 1) as spread:
        for batch in spread(work, batches):
            yield from batch


def _batches(reports: Iterator[Report]) -> Iterator[list[Report]]:
    while batch := list(islice(reports, BATCH)):
        yield batch


def _extract_batch(batch: Sequence[Report], settings: ExtractSettings) -> list[Extraction]:
    return extractor_of(settings)(batch)


def _refuse(extractions: Sequence[Extraction], refused: Quarantine | None) -> None:
    for extraction in extractions:
        for file, reason in extraction.refused:
            if refused is not None:
                refused.add(file, extraction.study_id, reason)


def _findings_table(extractions: Sequence[Extraction]) -> pd.DataFrame:
    rows = [
        (extraction.study_id, row.finding, row.status, row.side, row.site, row.sentence, row.start, row.end)
        for extraction in extractions
        for row in extraction.findings
    ]
    return pd.DataFrame(rows, columns=list(COLUMN_TYPES)).astype(COLUMN_TYPES)
