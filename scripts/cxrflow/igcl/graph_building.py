"""Builds the store of report graphs and the vectors of their entities; a killed job goes on where it was.

Reports are read shard by shard in several processes. What is finished waits in a hidden folder beside the store, which
a workflow engine that deletes a failed job's outputs leaves alone. The bytes depend on the reports and the settings
alone, neither on the number of processes nor on interruptions.
"""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxrflow.cohort.quarantine import Quarantine
from cxrflow.files import sha256, write_json, write_text
from cxrflow.igcl import graph_reading, graph_store
from cxrflow.igcl.graph_reading import Refused, Shard, read_graphs, read_texts, shards
from cxrflow.igcl.graph_settings import GraphSettings
from cxrflow.igcl.graph_store import GraphStore, joined
from cxrflow.igcl.graph_transforms import transformed
from cxrflow.igcl.growing_array import GrowingArray
from cxrflow.igcl.node_features import ENTITIES, describe, write_phrase_vectors
from cxrflow.ragged import offsets, owners
from cxrflow.reports import radgraph_schema
from cxrflow.workers import Spread, forked

if TYPE_CHECKING:
    from cxrflow.igcl.report_states import ReportEncoder

logger = logging.getLogger(__name__)

SHARD_REPORTS = 256


@dataclass(frozen=True)
class Parts:
    """What is finished of a store: a hidden folder, of one file of reports as read by one version of the code."""

    folder: Path

    @classmethod
    def beside(cls, output: Path, graphs: Path, lines: int) -> "Parts":
        """Return what an interrupted run left beside `output` for these reports, or begin anew."""
        parts = cls(output.with_name(f".{output.stem}.parts"))
        code = [Path(str(module.__file__)) for module in (graph_reading, graph_store, radgraph_schema)]
        parts.require("graphs", " ".join([str(lines), *map(sha256, (graphs, *code))]))
        return parts

    def require(self, kind: str, fingerprint: str) -> None:
        """Forget the finished parts of a kind, and what was made from them, unless they were made from the same."""
        note = self.folder / f"{kind}.fingerprint"
        if note.exists() and note.read_text() == fingerprint:
            return
        if kind == "graphs":
            shutil.rmtree(self.folder, ignore_errors=True)
        for file in self.folder.glob(f"{kind}*"):
            file.unlink()
        write_text(note, fingerprint)

    def graphs(self, shard: Shard) -> Path:
        """Return where the graphs of a shard are."""
        return self.folder / f"graphs_{shard.number:05d}.npz"

    def refused(self, shard: Shard) -> Path:
        """Return where it is told what of a shard was refused."""
        return self.folder / f"graphs_{shard.number:05d}.json"


def build_graph_store(
    graphs: Path,
    store: Path,
    vectors: Path,
    settings: GraphSettings,
    workers: int,
    refused: Quarantine,
    accept: Callable[[int], None] | None = None,
    shard_reports: int = SHARD_REPORTS,
) -> None:
    """Write the graphs (.npz) of a file in the RadGraph schema (JSON lines), and vectors of their entities (.npy).

    The graphs have the virtual nodes that the settings ask for. What cannot be right in the file goes to `refused`;
    `accept` is called with the number of reports once all are read: when it raises, what is read stays for the next
    run. Raises UserError where a line is no graph, or the BERT of the settings is not on this machine.
    """
    plan = shards(graphs, shard_reports)
    parts = Parts.beside(store, graphs, shard_reports)
    if settings.text_encoder != "hashed":
        _prepare(settings)
    with forked(min(workers, len(plan))) as spread:
        _read_missing(graphs, plan, parts, spread)
        _tell(graphs, plan, parts, refused)
        found = joined([GraphStore.load(parts.graphs(shard)) for shard in plan] or [_nothing(graphs)])
        if accept:
            accept(len(found))
        if settings.text_encoder == "hashed":
            write_phrase_vectors(found, vectors, settings.text_width)
        else:
            _write_entity_vectors(graphs, plan, parts, vectors, settings, spread)
    complete = transformed(found, settings)
    complete.save(store)
    shutil.rmtree(parts.folder)
    _summarise(found, len(complete.labels) - len(found.labels))


def _read_missing(graphs: Path, plan: Sequence[Shard], parts: Parts, spread: Spread) -> None:
    """Read the shards that are not there yet."""
    missing = [shard for shard in plan if not parts.graphs(shard).exists()]
    if len(missing) < len(plan):
        logger.info("%d of %d shards are kept from an interrupted run.", len(plan) - len(missing), len(plan))
    for _ in spread(partial(_read_shard, graphs, parts), missing):
        pass


def _read_shard(graphs: Path, parts: Parts, shard: Shard) -> None:
    store, refused = read_graphs(graphs, shard)
    write_json(parts.refused(shard), [list(one) for one in refused])
    store.save(parts.graphs(shard))  # last: it says that the shard is finished


def _tell(graphs: Path, plan: Sequence[Shard], parts: Parts, refused: Quarantine) -> None:
    for shard in plan:
        for one in map(Refused._make, json.loads(parts.refused(shard).read_text())):
            refused.add(graphs.name, one.study_id, one.reason)


def _summarise(found: GraphStore, virtual: int) -> None:
    sizes = f"{len(found.labels)} entities, {len(found.edges)} relations, {len(found.vocabulary)} phrases"
    empty = int((found.sizes == 0).sum())
    logger.info("%d reports, %d of them without entities: %s; %d virtual nodes", len(found), empty, sizes, virtual)


def _nothing(graphs: Path) -> GraphStore:
    """Return the store of a file without lines."""
    return read_graphs(graphs, Shard(0, 0, 0))[0]


def _write_entity_vectors(
    graphs: Path, plan: Sequence[Shard], parts: Parts, target: Path, settings: GraphSettings, spread: Spread
) -> None:
    """Write the states of a BERT for every entity, shard by shard; a GPU serves one process."""
    encoder = _encoder(settings)
    digest = encoder.digest()
    parts.require("vectors", digest)
    starts = offsets(len(GraphStore.load(parts.graphs(shard)).labels) for shard in plan)
    array = GrowingArray(parts.folder, int(starts[-1]), encoder.width)
    array.begin()
    rows = zip(starts[:-1].tolist(), np.diff(starts).tolist(), strict=True)
    missing = [
        shard for shard, (start, count) in zip(plan, rows, strict=True) if not array.has(shard.number, start, count)
    ]
    work = partial(_write_shard_vectors, graphs, parts, array, starts, settings)
    results = map(work, missing) if encoder.on_gpu else spread(work, missing)
    for done, _ in enumerate(results, start=1 + len(plan) - len(missing)):
        logger.info("vectors of %d of %d shards of reports", done, len(plan))
    array.publish(target)
    describe(target, ENTITIES, settings.text_encoder, digest)


def _prepare(settings: GraphSettings) -> None:
    """Load the BERT before any fork: processes share it, and a missing one is told before all reports are read.

    Each process has one thread: faster than all threads for one shard, and what a thread computes alone is the same
    whatever the number of processes. (After a fork OpenMP cannot start more.)
    """
    from cxrflow.training import prepare_torch

    prepare_torch(threads=1)
    _encoder(settings)


@cache
def _encoder(settings: GraphSettings) -> "ReportEncoder":
    """Return the BERT of the settings."""
    from cxrflow.igcl.report_states import ReportEncoder

    return ReportEncoder(settings.text_encoder, settings.text_precision)


def _write_shard_vectors(
    graphs: Path, parts: Parts, array: GrowingArray, starts: np.ndarray, settings: GraphSettings, shard: Shard
) -> None:
    from cxrflow.igcl.report_states import Spans

    store = GraphStore.load(parts.graphs(shard))
    words = np.array([len(text.split(" ")) for text in store.vocabulary], dtype=np.int64)
    spans = Spans(owners(store.node_offsets), store.tokens.astype(np.int64), words[store.words])
    array.write(shard.number, int(starts[shard.number]), _encoder(settings).vectors(read_texts(graphs, shard), spans))
