"""Report graphs as arrays: a vector for every entity, edges for relations, the most central entity."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrflow.errors import UserError
from cxrflow.neural.centrality import hubs
from cxrflow.neural.node_embeddings import Entity, entity_vectors
from cxrflow.neural.settings import GraphSettings


@dataclass(frozen=True)
class ReportGraph:
    """One report: (tokens, label) of each node, and undirected edges between node numbers."""

    nodes: tuple[Entity, ...]
    edges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ReportGraphs:
    """The report graphs of N images, flat: image i has nodes[node_offsets[i]:node_offsets[i+1]], numbered from 0.

    A node is a row of `vectors`, which all text settings share.
    """

    nodes: NDArray[np.int32]
    node_offsets: NDArray[np.int64]
    edges: NDArray[np.int32]
    edge_offsets: NDArray[np.int64]
    hubs: NDArray[np.int32]
    vectors: NDArray[np.float32]


def read_text_graphs(
    files: Mapping[str, Path], images: Sequence[str], settings: GraphSettings
) -> dict[str, ReportGraphs]:
    """Return the graphs of `images`, in that order, for each text setting; equal entities share one vector.

    `files` hold JSON lines in the RadGraph schema, one per image, read line by line; their study_id is the image's id.
    """
    numbers: dict[Entity, int] = {}
    met = {text: _flatten(read_report_graphs(file), images, numbers, text) for text, file in files.items()}
    entities = sorted(numbers)
    place = np.empty(len(entities), dtype=np.int32)
    place[[numbers[entity] for entity in entities]] = np.arange(len(entities), dtype=np.int32)
    vectors = entity_vectors(entities, settings)
    return {text: replace(graphs, nodes=place[graphs.nodes], vectors=vectors) for text, graphs in met.items()}


def read_report_graphs(path: Path) -> Iterator[tuple[str, ReportGraph]]:
    """Yield (study_id, graph) of each of the JSON lines in the RadGraph schema."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                record = json.loads(line)
                yield record["study_id"], parse_report_graph(record["entities"])


def parse_report_graph(entities: Mapping[str, Any]) -> ReportGraph:
    """Return entities in the order of the text; every relation is an undirected edge, once."""
    order = sorted(entities, key=lambda key: (entities[key]["start_ix"], entities[key]["end_ix"], key))
    number = {key: position for position, key in enumerate(order)}
    pairs = ((number[key], number[target]) for key in order for _, target in entities[key]["relations"])
    edges = {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}
    return ReportGraph(tuple((entities[key]["tokens"], entities[key]["label"]) for key in order), tuple(sorted(edges)))


def _flatten(
    graphs: Iterable[tuple[str, ReportGraph]], images: Sequence[str], numbers: dict[Entity, int], text: str
) -> ReportGraphs:
    """Return flat graphs without vectors; `numbers` numbers entities in the order met, and grows.

    Only numbers are held, not the words: a few bytes per entity.
    """
    places = {image: place for place, image in enumerate(images)}
    nodes, edges = [_NOTHING] * len(images), [_NOTHING] * len(images)
    missing = set(images)
    for image, graph in graphs:
        if (place := places.get(image)) is not None:
            missing.discard(image)
            nodes[place] = np.array([numbers.setdefault(node, len(numbers)) for node in graph.nodes], dtype=np.int32)
            edges[place] = np.array(graph.edges, dtype=np.int32).ravel()
    if missing:
        raise UserError(
            f"{len(missing)} of {len(images)} radiographs have no report graph in the text setting {text!r}.",
            f"neural/texts/{text}.jsonl was made from another cohort or only in part: delete it and run again.",
        )
    pairs = np.concatenate([_NOTHING, *edges]).reshape(-1, 2)
    offsets, edge_offsets = _offsets(map(len, nodes)), _offsets(len(ends) // 2 for ends in edges)
    central = hubs(offsets, pairs, edge_offsets)
    whole = np.concatenate([_NOTHING, *nodes])
    return ReportGraphs(whole, offsets, pairs, edge_offsets, central, np.zeros((0, 0), dtype=np.float32))


_NOTHING = np.zeros(0, dtype=np.int32)


def _offsets(sizes: Iterable[int]) -> NDArray[np.int64]:
    return np.cumsum([0, *sizes], dtype=np.int64)
