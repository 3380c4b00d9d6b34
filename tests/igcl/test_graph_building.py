"""Building: every relation is kept, annotations of RadGraph's files arrive, a killed job goes on from its shards."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.igcl.made_up_graphs import edges_of, record, write_lines
from tests.reports.radgraph_samples import EFFUSION, annotation

from cxrflow.cohort.quarantine import Quarantine
from cxrflow.errors import UserError
from cxrflow.hashed_words import hashed_vectors
from cxrflow.igcl import graph_building
from cxrflow.igcl.graph_batches import GraphReader
from cxrflow.igcl.graph_building import build_graph_store
from cxrflow.igcl.graph_reading import shards
from cxrflow.igcl.graph_settings import GraphSettings
from cxrflow.igcl.graph_store import LABELS, RELATIONS, VIRTUAL, GraphStore
from cxrflow.reports.extract import write_extraction
from cxrflow.reports.settings import ExtractSettings

PLAIN = GraphSettings(transform="none", text_width=16)


def build(
    lines: Path, settings: GraphSettings = PLAIN, workers: int = 1, **options: Any
) -> tuple[GraphStore, Quarantine]:
    refused = Quarantine("test")
    folder = lines.parent
    build_graph_store(lines, folder / "graphs.npz", folder / "vectors.npy", settings, workers, refused, **options)
    return GraphStore.load(folder / "graphs.npz"), refused


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("graphs.npz", "vectors.npy", "vectors.json")}


def relations(store: GraphStore, graph: int) -> set[tuple[str, str, str]]:
    """Return (words, relation, words) of a graph."""
    start = store.node_offsets[graph]
    words = [store.vocabulary[word] for word in store.words[start : store.node_offsets[graph + 1]]]
    return {(words[source], RELATIONS[kind], words[target]) for source, target, kind in edges_of(store, graph)}


def test_an_entity_keeps_both_of_its_relations(tmp_path: Path) -> None:
    twice = annotation(
        "Patchy opacity in the left base",
        ("Patchy", "OBS-DP", [("modify", 2)]),
        ("opacity", "OBS-U", [("located_at", 4), ("suggestive_of", 1), ("located_at", 3)]),
        ("left", "ANAT-DP", [("modify", 4)]),
        ("base", "ANAT-DP", []),
    )
    lines = write_lines(tmp_path / "reports.jsonl", [{"study_id": "a", **twice}])
    store, refused = build(lines)
    assert relations(store, 0) == {
        ("patchy", "modify", "opacity"),
        ("opacity", "located_at", "base"),
        ("opacity", "suggestive_of", "patchy"),
        ("opacity", "located_at", "left"),
        ("left", "modify", "base"),
    }
    assert [LABELS[label] for label in store.labels] == ["OBS-DP", "OBS-U", "ANAT-DP", "ANAT-DP"]
    assert store.tokens.tolist() == [0, 1, 4, 5]
    assert not refused.rows


def test_a_pair_may_have_two_relations_but_each_once_and_none_with_itself(tmp_path: Path) -> None:
    both = [("modify", 2), ("suggestive_of", 2), ("modify", 2), ("modify", 1)]
    graph = annotation("mild edema", ("mild", "OBS-DP", both), ("edema", "OBS-DP", [("modify", 1)]))
    store, refused = build(write_lines(tmp_path / "reports.jsonl", [{"study_id": "a", **graph}]))
    assert edges_of(store, 0) == [(0, 1, 1), (0, 1, 2), (1, 0, 1)]
    assert [(row, reason) for _, row, _, reason in refused.rows] == [("a", "an entity is related to itself")]


def test_dangling_relations_and_impossible_entities_are_refused_and_the_rest_stays(tmp_path: Path) -> None:
    graph = json.loads(json.dumps({"study_id": "a", **EFFUSION}))
    graph["entities"]["2"]["relations"].append(["modify", "99"])
    graph["entities"]["5"]["end_ix"] = 70
    store, refused = build(write_lines(tmp_path / "reports.jsonl", [graph, {"study_id": "b", **EFFUSION}]))
    assert store.sizes.tolist() == [4, 5]
    assert relations(store, 0) == relations(store, 1)
    assert {reason for _, _, _, reason in refused.rows} == {
        "a relation leads to an entity that the report lacks",
        "the offsets of an entity lead out of the text",
    }


def test_annotations_of_radgraphs_files_arrive_whatever_their_keys(tmp_path: Path) -> None:
    marked = {"text": EFFUSION["text"], "labeler_1": {"entities": EFFUSION["entities"]}}
    keys = {"p10/p10000001/s50000001.txt": EFFUSION, "files/p10/p10000002/s50000002.txt": EFFUSION,
            "mimic-cxr-reports/files/p10/p10000003/s50000003.txt": marked}  # fmt: skip
    (tmp_path / "radgraph.json").write_text(json.dumps(keys))
    reports = pd.DataFrame({"study_id": [f"5000000{n}" for n in (1, 2, 3, 4)], "text": "small"})
    lines, settings = tmp_path / "reports.jsonl", ExtractSettings(extractor="radgraph-json")
    write_extraction(reports, tmp_path / "findings.parquet", lines, settings, annotations=[tmp_path / "radgraph.json"])
    store, _ = build(lines)
    assert store.study_ids.tolist() == reports["study_id"].tolist()
    assert store.sizes.tolist() == [5, 5, 5, 0]
    assert relations(store, 0) == relations(store, 1) == relations(store, 2) != set()


def test_graphs_of_our_rules_are_read_without_a_refusal(tmp_path: Path) -> None:
    texts = [
        "Small left pleural effusion. No pneumothorax.",
        "",
        "The heart is normal. Patchy opacity at the left base.",
    ]
    reports = pd.DataFrame({"study_id": ["a", "b", "c"], "text": texts})
    write_extraction(reports, tmp_path / "f.parquet", tmp_path / "reports.jsonl", ExtractSettings())
    store, refused = build(tmp_path / "reports.jsonl")
    assert not refused.rows
    assert store.sizes[1] == 0
    assert ("effusion", "located_at", "pleural") in relations(store, 0)


def test_nodes_are_read_as_the_vector_of_their_words_and_their_label(tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "reports.jsonl", [record("a", 6), record("b", 0), record("c", 9, seed=1)])
    store, _ = build(lines, GraphSettings(text_width=32))
    reader = GraphReader.open(tmp_path / "graphs.npz", tmp_path / "vectors.npy")
    assert reader.features.width == 36
    for node, (label, word) in enumerate(zip(store.labels, store.words, strict=True)):
        found = reader.features.of(np.array([node]))[0]
        if label == VIRTUAL:
            assert not found.any()
            continue
        np.testing.assert_allclose(found[:32], hashed_vectors([store.vocabulary[word]], 32)[0], atol=1e-3)
        assert found[32:].tolist() == [float(label == number) for number in range(4)]


@pytest.mark.parametrize(("workers", "shard_reports"), [(1, 1), (2, 3), (3, 4), (2, 100)])
def test_the_bytes_depend_neither_on_processes_nor_on_shards(tmp_path: Path, workers: int, shard_reports: int) -> None:
    lines = write_lines(tmp_path / "reports.jsonl", [record(f"s{n}", n % 7, n) for n in range(20)])
    build(lines, GraphSettings())
    expected = files(tmp_path)
    build(lines, GraphSettings(), workers, shard_reports=shard_reports)
    assert files(tmp_path) == expected
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
def test_shards_cover_the_file(tmp_path: Path, count: int) -> None:
    lines = write_lines(tmp_path / "reports.jsonl", [record(f"s{n}", n, n) for n in range(7)])
    plan = shards(lines, count)
    content = lines.read_bytes()
    assert b"".join(content[shard.start : shard.stop] for shard in plan) == content
    assert [content[shard.start : shard.stop].count(b"\n") for shard in plan[:-1]] == [count] * (len(plan) - 1)


def test_a_cohort_without_reports_has_a_store_without_graphs(tmp_path: Path) -> None:
    (tmp_path / "reports.jsonl").touch()
    store, _ = build(tmp_path / "reports.jsonl", GraphSettings())
    assert len(store) == 0


@pytest.mark.parametrize("line", ["{", "[]", '{"text": "a"}', "\udcff"])
def test_a_line_that_is_no_graph_is_told_without_its_words(tmp_path: Path, line: str) -> None:
    lines = write_lines(tmp_path / "reports.jsonl", [record("a", 2)])
    with lines.open("ab") as stream:
        stream.write(line.encode(errors="surrogateescape") + b"\n")
    with pytest.raises(UserError, match=r"a report's graph in each line[\s\S]*Hint"):
        build(lines)


def test_refusing_too_much_keeps_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = write_lines(tmp_path / "reports.jsonl", [record(f"s{n}", 3, n) for n in range(5)])

    def stop(reports: int) -> None:
        raise UserError(f"{reports} reports", "none")

    target = tmp_path / "graphs.npz", tmp_path / "vectors.npy"
    with pytest.raises(UserError, match="5 reports"):
        build_graph_store(lines, *target, PLAIN, 1, Quarantine("test"), stop, shard_reports=2)
    monkeypatch.setattr(graph_building, "read_graphs", None)
    build_graph_store(lines, *target, PLAIN, 1, Quarantine("test"), shard_reports=2)
    assert len(GraphStore.load(target[0])) == 5


def test_other_reports_are_read_anew(tmp_path: Path) -> None:
    first = [record(f"s{n}", 3, n) for n in range(5)]
    lines = write_lines(tmp_path / "reports.jsonl", first)

    def stop(reports: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(lines, accept=stop)
    write_lines(lines, [record("z", 4, 9), *first])
    store, _ = build(lines)
    assert store.study_ids.tolist() == ["z", "s0", "s1", "s2", "s3", "s4"]
    assert store.sizes[0] == 4


# Builds the store of the folder in argv[1], notes each shard that is read, and hangs at the shards from argv[2] on.
CHILD = """if True:
    import os, sys, time
    from pathlib import Path
    from cxrflow.cohort.quarantine import Quarantine
    from cxrflow.igcl import graph_building
    from cxrflow.igcl.graph_settings import GraphSettings
    folder, read = Path(sys.argv[1]), graph_building.read_graphs
    log = os.open(folder / "read", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    def noted(path, shard):
        os.write(log, b".")
        if shard.number >= int(sys.argv[2]):
            time.sleep(100)
        return read(path, shard)
    graph_building.read_graphs = noted
    target = folder / "graphs.npz", folder / "vectors.npy"
    lines = folder / "reports.jsonl"
    graph_building.build_graph_store(lines, *target, GraphSettings(), 1, Quarantine("test"), shard_reports=4)
"""


@pytest.mark.parametrize("finished", [0, 3])
def test_a_killed_build_goes_on_from_its_last_shard(root: Path, tmp_path: Path, finished: int) -> None:
    lines = write_lines(tmp_path / "reports.jsonl", [record(f"s{n}", n % 6, n) for n in range(20)])
    build(lines, GraphSettings())
    undisturbed = files(tmp_path)
    for name in undisturbed:
        (tmp_path / name).unlink()
    environment = {**os.environ, "PYTHONPATH": str(root / "scripts")}

    def child(hangs_at: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), str(hangs_at)], env=environment)

    process, log, deadline = child(finished), tmp_path / "read", time.monotonic() + 120
    try:
        while not log.exists() or log.stat().st_size <= finished:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not set(undisturbed) & {path.name for path in tmp_path.iterdir()}
    log.unlink()
    assert child(100).wait() == 0
    assert log.stat().st_size == 5 - finished
    assert files(tmp_path) == undisturbed
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
