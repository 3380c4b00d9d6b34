"""The vectors of entities on disk: one row per phrase where the context plays no part, else one per entity.

220,000 reports have six million entities but tens of thousands of phrases: rows per phrase are some megabytes, rows per
entity of a BERT 9 GB, of which a reader holds the rows of its batch only.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrflow.errors import UserError
from cxrflow.files import atomic_array, write_json
from cxrflow.hashed_words import hashed_vectors
from cxrflow.igcl.graph_store import LABELS, VIRTUAL, GraphStore

PHRASES, ENTITIES = "phrases", "entities"


@dataclass(frozen=True)
class NodeFeatures:
    """What the encoder reads of each node of a store: a vector of its words, and its label."""

    vectors: NDArray[np.float16]
    """(rows, d), memory-mapped."""
    rows: NDArray[np.int32]
    """(N,): the row of each node, -1 for virtual nodes."""
    labels: NDArray[np.uint8]
    """(N,)."""

    @property
    def width(self) -> int:
        """Width of what is read of a node."""
        return self.vectors.shape[1] + len(LABELS)

    @classmethod
    def open(cls, store: GraphStore, path: Path) -> "NodeFeatures":
        """Open the vectors of a store (.npy, with its description in .json) without reading them."""
        about = json.loads(path.with_suffix(".json").read_text())
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        rows = store.words if about["rows"] == PHRASES else _entity_rows(store)
        if len(vectors) != (len(store.vocabulary) if about["rows"] == PHRASES else rows.max(initial=-1) + 1):
            raise UserError(f"{path} and the graphs beside it are not of one run.", "Delete both and run again.")
        return cls(vectors, rows, store.labels)

    def of(self, nodes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (n, width) of nodes (n,): vector, then one-hot label; zeros for virtual nodes."""
        rows, width = self.rows[nodes], self.vectors.shape[1]
        real = np.flatnonzero(rows >= 0)
        found = np.zeros((len(nodes), self.width), dtype=np.float32)
        found[real, :width] = self.vectors[rows[real]]
        found[real, width + self.labels[nodes[real]]] = 1
        return found


def write_phrase_vectors(store: GraphStore, path: Path, width: int) -> None:
    """Write the hashed vectors of a store's vocabulary, (V, width) float16, and what they are."""
    with atomic_array(path, np.float16, (len(store.vocabulary), width)) as vectors:
        vectors[:] = hashed_vectors(store.vocabulary, width)
    describe(path, PHRASES, "hashed", "")


def describe(path: Path, rows: str, encoder: str, digest: str) -> None:
    """Write beside the vectors what their rows are, who made them, and the digest of that encoder."""
    write_json(path.with_suffix(".json"), {"rows": rows, "encoder": encoder, "digest": digest})


def _entity_rows(store: GraphStore) -> NDArray[np.int32]:
    """Return the number of each node among the entities of the store, -1 for virtual nodes."""
    real = store.labels != VIRTUAL
    return np.where(real, np.cumsum(real) - 1, -1).astype(np.int32)
