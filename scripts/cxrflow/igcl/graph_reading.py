"""Report graphs from JSON lines in the RadGraph schema, as arrays; every relation is kept.

(The released code kept the first relation of each entity only.)
"""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cxrflow.errors import UserError
from cxrflow.igcl.graph_store import LABELS, RELATIONS, GraphStore
from cxrflow.ragged import offsets
from cxrflow.reports.radgraph_schema import Annotation, read_annotation

_LABEL = {label: number for number, label in enumerate(LABELS)}
_RELATION = {relation: number for number, relation in enumerate(RELATIONS)}


class Shard(NamedTuple):
    """Some lines of the file that are read together: its number, its first byte, and its end."""

    number: int
    start: int
    stop: int


class Refused(NamedTuple):
    """What of a study's graph was left out, and why."""

    study_id: str
    reason: str


def shards(path: Path, lines: int) -> list[Shard]:
    """Divide a file into shards of so many lines; the last may be shorter."""
    ends = [0]
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if number % lines == 1 or lines == 1:
                ends.append(ends[-1])
            ends[-1] += len(line)
    return [Shard(number, *ends[number : number + 2]) for number in range(len(ends) - 1)]


def read_graphs(path: Path, shard: Shard) -> tuple[GraphStore, list[Refused]]:
    """Return the graphs of a shard, and what cannot be right in them: it is left out, the rest of the graph stays."""
    with _no_collection():
        read = [(record["study_id"], read_annotation(record)) for record in _records(path, shard)]
        refused = [Refused(study, reason) for study, annotation in read for reason in annotation.problems]
        return _flat([study for study, _ in read], [annotation for _, annotation in read]), refused


def read_texts(path: Path, shard: Shard) -> list[list[str]]:
    """Return the tokens of each report of a shard."""
    return [str(record["text"]).split() for record in _records(path, shard)]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Let Python not look for cycles among thousands of new objects that have none: it takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _records(path: Path, shard: Shard) -> Iterator[dict[str, Any]]:
    with path.open("rb") as stream:
        stream.seek(shard.start)
        lines = stream.read(shard.stop - shard.start).split(b"\n")
    try:
        for line in lines:
            if line.strip():
                record = json.loads(line)
                yield {**record, "study_id": str(record["study_id"])}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"Expected a report's graph in each line of {path}; one of those from byte {shard.start} on is none.",
            "Delete the file and run again: the rule reports_extract writes it.",
        ) from error


def _flat(studies: list[str], annotations: list[Annotation]) -> GraphStore:
    entities = [entity for annotation in annotations for entity in annotation.entities]
    texts = [
        " ".join(annotation.tokens[entity.start : entity.end]).lower()
        for annotation in annotations
        for entity in annotation.entities
    ]
    numbers: dict[str, int] = {}
    edges = [
        (source, target, _RELATION[kind])
        for annotation in annotations
        for source, entity in enumerate(annotation.entities)
        for kind, target in entity.relations
    ]
    table = np.array(edges, dtype=np.int32).reshape(-1, 3)
    return GraphStore(
        study_ids=np.array(studies, dtype=np.str_),
        labels=np.array([_LABEL[entity.label] for entity in entities], dtype=np.uint8),
        words=np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.int32),
        tokens=np.array([entity.start for entity in entities], dtype=np.int32),
        node_offsets=offsets(len(annotation.entities) for annotation in annotations),
        edges=table[:, :2],
        kinds=table[:, 2].astype(np.uint8),
        edge_offsets=offsets(sum(len(each.relations) for each in annotation.entities) for annotation in annotations),
        vocabulary=tuple(numbers),
    )
