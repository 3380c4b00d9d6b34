"""Predictions along a compression axis: the canonical parquet table, one file per seed or several, and its truth.

Columns: image_id, model (how it was compressed; `dense` at no compression), seed, sparsity (the share that was taken
away, 0 to 1), then one float32 column per class with its probability. Each (model, sparsity) is one row group, and all
hold the same images in the same order.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cxrflow.errors import UserError
from cxrflow.files import atomic_path

DENSE = "dense"
_FIXED = ("image_id", "model", "seed", "sparsity")


@dataclass(frozen=True)
class Truth:
    """Whose images the predictions are of, and what they show."""

    image_ids: NDArray[np.str_]
    """(N,)"""
    patient_ids: NDArray[np.str_]
    """(N,)"""
    classes: tuple[str, ...]
    """C names."""
    labels: NDArray[np.float32]
    """(N, C): 1 present, 0 absent, NaN not known."""

    @classmethod
    def of(cls, samples: pd.DataFrame, classes: Sequence[str]) -> "Truth":
        """Return the truth of a table with image_id, patient_id and one column per class."""
        labels = samples[list(classes)].to_numpy(dtype=np.float32)
        images, patients = (samples[name].to_numpy(dtype=str) for name in ("image_id", "patient_id"))
        return cls(images, patients, tuple(classes), labels)


@dataclass(frozen=True)
class SeedPredictions:
    """Probabilities of one trained model, ever more compressed."""

    seed: int
    levels: NDArray[np.float64]
    """(K,) ascending shares that were taken away; the first is 0, the uncompressed model."""
    probabilities: NDArray[np.float32]
    """(K, N, C)"""


class PredictionWriter:
    """Appends one compression after the other to an open file."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._writer, self._schema = writer, schema

    def append(
        self, model: str, seed: int, sparsity: float, image_ids: Sequence[str], probabilities: NDArray[np.float32]
    ) -> None:
        """Write probabilities (N, C) of the images as one row group."""
        count = len(image_ids)
        fixed = [
            pa.array(image_ids, pa.string()),
            pa.array(np.full(count, model), pa.string()),
            pa.array(np.full(count, seed, dtype=np.int32)),
            pa.array(np.full(count, sparsity, dtype=np.float64)),
        ]
        columns = [pa.array(np.ascontiguousarray(column, dtype=np.float32)) for column in probabilities.T]
        table = pa.Table.from_arrays([*fixed, *columns], schema=self._schema)
        self._writer.write_table(table, row_group_size=max(1, count))


@contextmanager
def write_predictions(path: Path, classes: Sequence[str]) -> Iterator[PredictionWriter]:
    """Open a table of predictions; it appears whole when the block ends."""
    types = [pa.string(), pa.string(), pa.int32(), pa.float64()]
    fields = [pa.field(name, kind) for name, kind in zip(_FIXED, types, strict=True)]
    schema = pa.schema([*fields, *(pa.field(name, pa.float32()) for name in classes)])
    schema = schema.with_metadata({"version": "1", "classes": json.dumps(list(classes))})
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        yield PredictionWriter(writer, schema)


def read_classes(path: Path) -> tuple[str, ...]:
    """Return the classes of a table of predictions, in their order."""
    metadata = pq.read_schema(path).metadata or {}
    if b"classes" not in metadata:
        raise UserError(f"{path} is not a table of predictions.", "it has to be written by this workflow.")
    return tuple(json.loads(metadata[b"classes"]))


def read_seed(
    files: Iterable[Path], model: str, image_ids: Sequence[str], levels: Sequence[float] | None = None
) -> SeedPredictions:
    """Read one seed's predictions of one way to compress, with the uncompressed ones, from the files that hold them.

    `image_ids` (N,) are the wanted images in the wanted order; `levels` restricts what is read. Raises UserError where
    an image or the uncompressed model is missing, or where the files are of several seeds.
    """
    found: dict[float, NDArray[np.float32]] = {}
    seeds: set[int] = set()
    wanted = pd.Index(image_ids)
    for path in files:
        classes, file = read_classes(path), pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            about = file.read_row_group(group, columns=["model", "seed", "sparsity"]).slice(0, 1).to_pylist()[0]
            unwanted = levels is not None and not np.isclose(about["sparsity"], levels).any()
            if about["model"] not in (model, DENSE) or unwanted:
                continue
            seeds.add(about["seed"])
            found[about["sparsity"]] = _group(file, group, classes, wanted, path)
    if len(seeds) != 1 or 0.0 not in found:
        raise UserError(
            f"The predictions of {model!r} are of {len(seeds)} seeds, at sparsities {sorted(found)}.",
            "each seed needs its uncompressed model (sparsity 0) and its compressed ones: delete its files, run again.",
        )
    order = sorted(found)
    return SeedPredictions(seeds.pop(), np.array(order), np.stack([found[level] for level in order]))


def _group(
    file: pq.ParquetFile, group: int, classes: Sequence[str], wanted: pd.Index, path: Path
) -> NDArray[np.float32]:
    """Return (N, C) of one row group, in the wanted order."""
    table = file.read_row_group(group, columns=["image_id", *classes])
    places = pd.Index(table.column("image_id").to_pylist()).get_indexer(wanted)
    if (places < 0).any():
        raise UserError(
            f"{path} lacks {int((places < 0).sum())} of {len(wanted)} images.",
            "its predictions are of another test split: delete the file and run again.",
        )
    return np.stack([table.column(name).to_numpy()[places] for name in classes], axis=1)
