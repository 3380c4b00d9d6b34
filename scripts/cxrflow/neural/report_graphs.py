"""Report graphs as arrays: a vector for every entity, edges for relations, the most central entity."""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrflow.errors import UserError
from cxrflow.neural.centrality import hub

ENTITY_LABELS = ("ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA")


@dataclass(frozen=True)
class ReportGraph:
    """One report: (tokens, label) of each node, and undirected edges between node numbers."""

    nodes: tuple[tuple[str, str], ...]
    edges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ReportGraphs:
    """The report graphs of N images, flat: image i has nodes[node_offsets[i]:node_offsets[i+1]], numbered from 0."""

    nodes: NDArray[np.int32]
    node_offsets: NDArray[np.int64]
    edges: NDArray[np.int32]
    edge_offsets: NDArray[np.int64]
    hubs: NDArray[np.int32]
    vectors: NDArray[np.float32]


def read_report_graphs(path: Path) -> dict[str, ReportGraph]:
    """Return the graph of each study from JSON lines in the RadGraph schema."""
    with path.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines if line.strip()]
    return {record["study_id"]: parse_report_graph(record["entities"]) for record in records}


def parse_report_graph(entities: Mapping[str, Any]) -> ReportGraph:
    """Return entities in the order of the text; every relation is an undirected edge, once."""
    order = sorted(entities, key=lambda key: (entities[key]["start_ix"], entities[key]["end_ix"], key))
    number = {key: position for position, key in enumerate(order)}
    pairs = ((number[key], number[target]) for key in order for _, target in entities[key]["relations"])
    edges = {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}
    return ReportGraph(tuple((entities[key]["tokens"], entities[key]["label"]) for key in order), tuple(sorted(edges)))


def flatten(graphs: Mapping[str, ReportGraph], studies: Sequence[str], width: int) -> ReportGraphs:
    """Return the graphs of `studies`, in that order, as flat arrays; equal entities share one vector."""
    missing = sorted(set(studies) - set(graphs))
    if missing:
        raise UserError(
            f"{len(missing)} of {len(set(studies))} studies have no report graph.",
            "reports/graphs.jsonl was made from another cohort or only in part: delete it and run again.",
        )
    chosen = [graphs[study] for study in studies]
    kinds = sorted({node for graph in chosen for node in graph.nodes})
    row = {kind: position for position, kind in enumerate(kinds)}
    hubs = {study: hub(len(graphs[study].nodes), graphs[study].edges) for study in sorted(set(studies))}
    vectors = [entity_vector(tokens, label, width) for tokens, label in kinds]
    return ReportGraphs(
        nodes=np.array([row[node] for graph in chosen for node in graph.nodes], dtype=np.int32),
        node_offsets=_offsets(len(graph.nodes) for graph in chosen),
        edges=np.array([edge for graph in chosen for edge in graph.edges], dtype=np.int32).reshape(-1, 2),
        edge_offsets=_offsets(len(graph.edges) for graph in chosen),
        hubs=np.array([hubs[study] for study in studies], dtype=np.int32),
        vectors=np.stack(vectors) if vectors else np.zeros((0, width + len(ENTITY_LABELS)), dtype=np.float32),
    )


def entity_vector(tokens: str, label: str, width: int) -> NDArray[np.float32]:
    """Return (width + 4,): signed hashes of words and letter triples at length 1, then one-hot the entity's label.

    The same text has the same vector in every split and on every machine. (The released code used one random vector
    for all entities, another for each split.)
    """
    text = np.zeros(width, dtype=np.float32)
    for gram in _grams(tokens.lower()):
        code = _code(gram)
        text[(code >> 1) % width] += 1.0 if code & 1 else -1.0
    length = float(np.linalg.norm(text))
    label_part = np.array([label == known for known in ENTITY_LABELS], dtype=np.float32)
    return np.concatenate([text / length if length else text, label_part])


def _grams(text: str) -> list[str]:
    words = text.split()
    return [*words, *(f"#{part}" for word in words for part in _triples(f"<{word}>"))]


def _triples(word: str) -> list[str]:
    return [word[start : start + 3] for start in range(len(word) - 2)]


@cache
def _code(gram: str) -> int:
    return zlib.crc32(gram.encode())


def _offsets(sizes: Iterable[int]) -> NDArray[np.int64]:
    return np.cumsum([0, *sizes], dtype=np.int64)
