"""The report graphs of a cohort as flat arrays: 220,000 graphs are a few hundred megabytes, and load in a second."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.errors import UserError
from cxrflow.files import write_arrays
from cxrflow.ragged import offsets

LABELS = ("OBS-DP", "OBS-DA", "OBS-U", "ANAT-DP")
"""Labels of entities by their number, as published. RadGraph marks no anatomy as absent or uncertain."""
RELATIONS = ("located_at", "modify", "suggestive_of")
"""Relations by their number, as published."""
VIRTUAL_RELATION = 3
REVERSED = VIRTUAL_RELATION + 1
"""Number of the first reversed relation: located_at, from the anatomy to the observation."""
VIRTUAL = 255
"""Label of a node that is no entity."""

_FLAT = ("study_ids", "labels", "words", "tokens", "edges", "kinds")


@dataclass(frozen=True)
class GraphStore:
    """G graphs with N nodes and E directed edges; graph g has nodes node_offsets[g]:node_offsets[g+1], edges likewise.

    Nodes are entities in the order of the text, then virtual ones. Edges number the nodes of their graph from 0. A pair
    may have several relations, each once; no node is related to itself. A graph may be without nodes.
    """

    study_ids: NDArray[np.str_]
    """(G,), each once."""
    labels: NDArray[np.uint8]
    """(N,): place in LABELS, or VIRTUAL."""
    words: NDArray[np.int32]
    """(N,): place of the entity's words in the vocabulary, -1 for virtual nodes."""
    tokens: NDArray[np.int32]
    """(N,): the entity's first token in the report's text, -1 for virtual nodes."""
    node_offsets: NDArray[np.int64]
    edges: NDArray[np.int32]
    """(E, 2): source and target."""
    kinds: NDArray[np.uint8]
    """(E,): place in RELATIONS, VIRTUAL_RELATION, or REVERSED + place in RELATIONS."""
    edge_offsets: NDArray[np.int64]
    vocabulary: tuple[str, ...]
    """The words of entities in lower case, in the order in which they were met."""

    def __len__(self) -> int:
        return len(self.study_ids)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Nodes of each graph, (G,)."""
        return np.diff(self.node_offsets)

    @cached_property
    def relations(self) -> int:
        """How many numbers relations may have."""
        return REVERSED + len(RELATIONS) if (self.kinds >= REVERSED).any() else REVERSED

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(getattr(self, one.name).nbytes for one in fields(self) if one.name != "vocabulary")

    def rows(self, study_ids: Sequence[str] | pd.Series) -> NDArray[np.int64]:
        """Return the place of each study's graph; raise UserError where one has none."""
        places = self._ids.get_indexer(pd.Index(study_ids))
        if (places < 0).any():
            raise UserError(
                f"{int((places < 0).sum())} of {len(places)} studies have no report graph.",
                "The graphs were made from another cohort: delete them and run again.",
            )
        return places.astype(np.int64)

    @cached_property
    def _ids(self) -> pd.Index:
        return pd.Index(self.study_ids)

    def save(self, path: Path) -> None:
        """Write everything as one npz without pickled objects."""
        arrays = {one.name: getattr(self, one.name) for one in fields(self)}
        arrays |= {"vocabulary": _packed(self.vocabulary)}
        write_arrays(path, arrays.items())

    @classmethod
    def load(cls, path: Path) -> "GraphStore":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return cls(**arrays | {"vocabulary": _unpacked(arrays["vocabulary"])})


def joined(stores: Sequence[GraphStore]) -> GraphStore:
    """Put the graphs of several stores one after the other; their vocabularies become one."""
    numbers: dict[str, int] = {}
    words = [_renumbered(store, numbers) for store in stores]
    parts = [replace(store, words=found) for store, found in zip(stores, words, strict=True)]
    return GraphStore(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _FLAT},
        node_offsets=offsets(np.concatenate([part.sizes for part in parts])),
        edge_offsets=offsets(np.concatenate([np.diff(part.edge_offsets) for part in parts])),
        vocabulary=tuple(numbers),
    )


def _renumbered(store: GraphStore, numbers: dict[str, int]) -> NDArray[np.int32]:
    place = np.array([numbers.setdefault(text, len(numbers)) for text in store.vocabulary], dtype=np.int32)
    return place[store.words] if len(place) else store.words


def _packed(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Return texts without line breaks as bytes: an array of strings would give each the room of the longest."""
    return np.frombuffer("".join(f"{text}\n" for text in texts).encode(), dtype=np.uint8)


def _unpacked(content: NDArray[np.uint8]) -> tuple[str, ...]:
    return tuple(content.tobytes().decode().split("\n")[:-1])
