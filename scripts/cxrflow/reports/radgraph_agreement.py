"""Graphs made by the rules against those of RadGraph's two radiologists, and the radiologists against each other.

The rules read the words as RadGraph cut them, so that the spans can be the same.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.errors import UserError
from cxrflow.files import write_twins
from cxrflow.metrics import interval, resample_weights
from cxrflow.reports.graphs import build_graph
from cxrflow.reports.json_items import json_items, read_item
from cxrflow.reports.lexicon import load_lexicon
from cxrflow.reports.pipeline import ReportParser
from cxrflow.reports.radgraph_f1 import MICRO, Agreement, entity_agreement, relation_agreement, scores
from cxrflow.reports.radgraph_schema import LABELERS, LABELS, RELATIONS, graph_of, read_annotation
from cxrflow.reports.scores import f1_score
from cxrflow.reports.settings import ExtractSettings

logger = logging.getLogger(__name__)

ALL = "all"
RULES = "rules"
PAIRS = ((RULES, LABELERS[0]), (RULES, LABELERS[1]), (LABELERS[1], LABELERS[0]))  # (annotator, reference)
KINDS = {"entity": (*LABELS, MICRO), "relation": (*RELATIONS, MICRO)}


class MarkedReport(NamedTuple):
    """One report of the test part, with its graph by each annotator (the rules among them)."""

    key: str
    source: str
    graphs: dict[str, dict[str, Any]]


def write_agreement(test: Path, target: Path, settings: ExtractSettings, resamples: int, seed: int) -> None:
    """Write radgraph_agreement.csv and its parquet twin."""
    write_twins(target, agreement_table(marked_reports(test, settings), resamples, seed))


def marked_reports(test: Path, settings: ExtractSettings) -> list[MarkedReport]:
    """Read RadGraph's test.json and let the rules mark the same words. Raises UserError where no two labelers did."""
    rules = settings.model_copy(update={"extractor": "rules", "model": None})
    lexicon = load_lexicon()
    parser = ReportParser(lexicon, rules)
    reports = []
    refused: Counter[str] = Counter()
    for key, record in _twice_marked(test):
        both = {labeler: read_annotation(record, labeler) for labeler in LABELERS}
        refused.update(problem for annotation in both.values() for problem in annotation.problems)
        graphs = {labeler: graph_of(key, annotation) for labeler, annotation in both.items()}
        parsed = parser.parse_words(both[LABELERS[0]].tokens)
        graphs[RULES] = build_graph(key, parsed, lexicon, rules)
        reports.append(MarkedReport(key, _source(record), graphs))
    if not reports:
        raise UserError(
            f"No report in {test} was marked by {' and '.join(LABELERS)}.",
            "Give RadGraph's test.json; its train.json and dev.json have one annotator.",
        )
    for problem, count in refused.items():
        logger.warning("left out of %d annotations: %s", count, problem)
    return reports


def agreement_table(reports: Sequence[MarkedReport], resamples: int, seed: int) -> pd.DataFrame:
    """Return one row per source, annotator, reference, kind (entity|relation) and label, `micro` over labels.

    Columns: these, precision, recall, f1, f1_low, f1_high (95 % interval over reports), n (in the reference) and
    n_reports. Scores are empty where neither marked anything of that label.
    """
    sources = sorted({report.source for report in reports})
    rows = [
        row
        for source in ([*sources, ALL] if len(sources) > 1 else sources)
        for row in _source_rows([at for at in reports if source in (at.source, ALL)], source, resamples, seed)
    ]
    return pd.DataFrame(rows)


def _source_rows(reports: Sequence[MarkedReport], source: str, resamples: int, seed: int) -> Iterator[dict[str, Any]]:
    weights = resample_weights([report.key for report in reports], resamples, seed) if resamples else None
    for annotator, reference in PAIRS:
        for kind, labels in KINDS.items():
            compare = entity_agreement if kind == "entity" else relation_agreement
            counts = [compare(report.graphs[annotator], report.graphs[reference]) for report in reports]
            named = {"source": source, "annotator": annotator, "reference": reference, "kind": kind}
            for label in labels:
                table = np.array([count[label] for count in counts], dtype=np.float64)
                yield {**named, "label": label, **_row(table, weights), "n_reports": len(reports)}


def _row(counts: NDArray[np.float64], weights: NDArray[np.uint16] | None) -> dict[str, Any]:
    """Score counts (reports, 3) of true, false and missed; the interval is empty without weights."""
    total = Agreement(*(int(value) for value in counts.sum(axis=0)))
    drawn = np.zeros(0) if weights is None else f1_score(weights.astype(np.float64) @ counts)
    marked = sum(total) > 0
    precision, recall, f1 = scores(total) if marked else (np.nan, np.nan, np.nan)
    estimate = interval(f1, drawn)
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "f1_low": estimate.low,
        "f1_high": estimate.high,
        "n": total.true + total.missed,
    }


def _twice_marked(test: Path) -> Iterator[tuple[str, Any]]:
    for item in json_items(test):
        marked = item.value if isinstance(item.value, dict) else {}
        if item.key and all(isinstance(marked.get(labeler), dict) for labeler in LABELERS):
            with test.open("rb") as stream:
                yield item.key, read_item(stream, item.start, item.length)


def _source(record: Any) -> str:
    """Return the data set a report is from; RadGraph tells it beside the text or beside the entities."""
    for place in (record, *(record[labeler] for labeler in LABELERS)):
        if place.get("data_source"):
            return str(place["data_source"])
    return "unknown"
