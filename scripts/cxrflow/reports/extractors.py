"""The three ways to read reports: rules, published RadGraph annotations, and the entities of an installed model."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from cxrflow.reports.annotated_findings import annotated_mentions
from cxrflow.reports.entity_model import EntityModel
from cxrflow.reports.findings import Mention, mentions
from cxrflow.reports.graphs import build_graph
from cxrflow.reports.json_items import read_item
from cxrflow.reports.lexicon import Lexicon, load_lexicon
from cxrflow.reports.pipeline import ParsedReport, ReportParser
from cxrflow.reports.radgraph_files import Place, unwrapped
from cxrflow.reports.radgraph_schema import Annotation, graph_of, joined, read_annotation
from cxrflow.reports.settings import ExtractSettings


class Report(NamedTuple):
    """A report to read, with the places of its annotations where there are any."""

    study_id: str
    text: str
    places: tuple[Place, ...] = ()


class Extraction(NamedTuple):
    """What one report says: rows of findings.parquet, a line of graphs.jsonl, and what was refused: (file, reason)."""

    study_id: str
    findings: list[Mention]
    graph: dict[str, Any]
    refused: tuple[tuple[str, str], ...] = ()


Extractor = Callable[[Sequence[Report]], list[Extraction]]


@lru_cache(maxsize=1)
def extractor_of(settings: ExtractSettings) -> Extractor:
    """Build what the settings name: lexicon and spaCy pipeline are loaded once per process."""
    lexicon = load_lexicon()
    if settings.extractor == "radgraph-json":
        return _Annotated(lexicon)
    return _Parsed(lexicon, settings)


class _Parsed:
    """Extracts by the rules, on the entities of the lexicon or those of a model."""

    def __init__(self, lexicon: Lexicon, settings: ExtractSettings) -> None:
        self._lexicon = lexicon
        self._settings = settings
        self._parser = ReportParser(lexicon, settings)
        self._model = EntityModel(settings.model, lexicon) if settings.model else None

    def __call__(self, batch: Sequence[Report]) -> list[Extraction]:
        parsed = list(self._parser.parse((report.text for report in batch), batch=len(batch)))
        if self._model is not None:
            parsed = list(self._model.marked(parsed))
        return [self._extraction(report.study_id, found) for report, found in zip(batch, parsed, strict=True)]

    def _extraction(self, study: str, report: ParsedReport) -> Extraction:
        findings = mentions(report, self._lexicon, self._settings)
        return Extraction(study, findings, build_graph(study, report, self._lexicon, self._settings))


class _Annotated:
    """Reads the annotations at the places of each report; a report without any has a graph without entities."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon

    def __call__(self, batch: Sequence[Report]) -> list[Extraction]:
        with ExitStack() as stack:
            files = sorted({place.file for report in batch for place in report.places})
            streams = {file: stack.enter_context(file.open("rb")) for file in files}
            return [self._extraction(report, streams) for report in batch]

    def _extraction(self, report: Report, streams: Mapping[Path, BinaryIO]) -> Extraction:
        if not report.places:
            whole = Annotation(tuple(report.text.split()))
            missing = (("reports.parquet", "no RadGraph annotation"),)
            return Extraction(report.study_id, [], graph_of(report.study_id, whole), missing)
        read = [_read(place, streams[place.file]) for place in report.places]
        refused = {
            (place.file.name, reason): None
            for place, annotation in zip(report.places, read, strict=True)
            for reason in annotation.problems
        }
        whole = joined(read)
        findings = annotated_mentions(whole, self._lexicon)
        return Extraction(report.study_id, findings, graph_of(report.study_id, whole), tuple(refused))


def _read(place: Place, stream: BinaryIO) -> Annotation:
    try:
        record = unwrapped(read_item(stream, place.start, place.length))
    except UnicodeDecodeError:
        return Annotation((), problems=("the annotation is not in UTF-8",))
    return read_annotation(record)
