"""Small report graphs: random ones as arrays, and lines in the RadGraph schema."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from cxrflow.igcl.graph_store import GraphStore
from cxrflow.igcl.node_features import NodeFeatures
from cxrflow.ragged import offsets

Edge = tuple[int, int, int]
"""Source, target, and the number of the relation."""


def store_of(graphs: Sequence[tuple[int, Sequence[Edge]]]) -> GraphStore:
    """Return graphs given as (number of nodes, edges); labels and words go round."""
    sizes = [size for size, _ in graphs]
    table = np.array([edge for _, edges in graphs for edge in edges], dtype=np.int64).reshape(-1, 3)
    nodes = np.arange(sum(sizes))
    return GraphStore(
        study_ids=np.array([f"s{number}" for number in range(len(graphs))], dtype=np.str_),
        labels=(nodes % 4).astype(np.uint8),
        words=(nodes % 7).astype(np.int32),
        tokens=nodes.astype(np.int32),
        node_offsets=offsets(sizes),
        edges=table[:, :2].astype(np.int32),
        kinds=table[:, 2].astype(np.uint8),
        edge_offsets=offsets(len(edges) for _, edges in graphs),
        vocabulary=tuple(f"phrase {number}" for number in range(7)),
    )


def features_of(store: GraphStore, width: int = 12, seed: int = 0) -> NodeFeatures:
    """Return random vectors of the store's vocabulary."""
    vectors = np.random.default_rng(seed).normal(size=(len(store.vocabulary), width)).astype(np.float16)
    return NodeFeatures(vectors, store.words, store.labels)


def edges_of(store: GraphStore, graph: int) -> list[Edge]:
    """Return the edges of one graph."""
    part = slice(*store.edge_offsets[graph : graph + 2].tolist())
    pairs = store.edges[part].tolist()
    return [(source, target, kind) for (source, target), kind in zip(pairs, store.kinds[part].tolist(), strict=True)]


@st.composite
def graph(draw: st.DrawFn) -> tuple[int, list[Edge]]:
    """A graph of up to seven nodes: pairs may have several relations, nodes none; none is related to itself."""
    size = draw(st.integers(0, 7))
    if size < 2:
        return size, []
    ends = st.integers(0, size - 1)
    edges = draw(st.sets(st.tuples(ends, ends, st.integers(0, 2)).filter(lambda edge: edge[0] != edge[1]), max_size=8))
    return size, sorted(edges)


stores = st.lists(graph(), max_size=6).map(store_of)


def random_store(graphs: int, seed: int = 0, largest: int = 40) -> GraphStore:
    """Return graphs of very unlike sizes, some of them without nodes."""
    random = np.random.default_rng(seed)
    found = []
    for size in random.integers(0, largest, graphs).tolist():
        ends = random.integers(0, max(size, 1), (2 * size // 3, 2)).tolist()
        edges = {(a, b, int(random.integers(3))) for a, b in ends if a != b}
        found.append((size, sorted(edges)))
    return store_of(found)


def write_lines(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    """Write graphs as the reports room does."""
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def record(study: str, entities: int, seed: int = 0) -> dict[str, Any]:
    """Return a made-up annotation: entities of one or two words, each related to the next one or two."""
    random = np.random.default_rng([seed, entities])
    words: list[str] = []
    marked: dict[str, Any] = {}
    for number in range(1, entities + 1):
        phrase = [f"W{word}" for word in random.integers(0, 30, random.integers(1, 3))]
        start = len(words)
        words += [*phrase, "."]
        targets = [number + step for step in (1, 2) if number + step <= entities]
        marked[str(number)] = {
            "tokens": " ".join(phrase),
            "label": ("ANAT-DP", "OBS-DP", "OBS-DA", "OBS-U")[int(random.integers(4))],
            "start_ix": start,
            "end_ix": start + len(phrase) - 1,
            "relations": [["modify", str(target)] for target in targets[: int(random.integers(3))]],
        }
    return {"study_id": study, "text": " ".join(words), "entities": marked}
