"""Graphs: neighbours on the grid, central nodes as networkx finds them, report entities as arrays, one fusion edge."""

import json
import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrflow.errors import UserError
from cxrflow.neural.centrality import betweenness, hub
from cxrflow.neural.graphs import GRID_EDGES, Graphs, build_graphs, image_hubs, kept_edges
from cxrflow.neural.pruning import patch_order, random_order
from cxrflow.neural.report_graphs import entity_vector, flatten, parse_report_graph, read_report_graphs
from cxrflow.neural.settings import GraphSettings, PruningSettings

ENTITIES = {
    "2": {"tokens": "effusion", "label": "OBS-DA", "start_ix": 4, "end_ix": 4, "relations": [["located_at", "3"]]},
    "1": {"tokens": "small", "label": "OBS-DP", "start_ix": 3, "end_ix": 3, "relations": [["modify", "2"]]},
    "3": {"tokens": "pleural", "label": "ANAT-DP", "start_ix": 9, "end_ix": 9, "relations": [["modify", "2"]]},
}


def test_a_12_by_12_grid_has_264_neighbouring_pairs() -> None:
    expected = nx.convert_node_labels_to_integers(nx.grid_2d_graph(12, 12), ordering="sorted").edges
    assert {tuple(pair) for pair in GRID_EDGES.tolist()} == {tuple(sorted(pair)) for pair in expected}
    assert len(GRID_EDGES) == 264


@given(st.integers(1, 14), st.floats(0, 1), st.integers(0, 1000))
@settings(max_examples=40)
def test_betweenness_equals_networkx(nodes: int, density: float, seed: int) -> None:
    graph = nx.gnp_random_graph(nodes, density, seed=seed)
    expected = nx.betweenness_centrality(graph, normalized=False)
    np.testing.assert_allclose(betweenness(nodes, list(graph.edges)), [expected[n] for n in range(nodes)], atol=1e-5)


def test_the_hub_of_a_star_is_its_centre_and_without_paths_the_first() -> None:
    assert hub(4, [(2, 0), (2, 1), (2, 3)]) == 2
    assert hub(3, [(1, 2)]) == 0
    assert hub(5, []) == 0
    assert hub(0, []) == -1


def test_image_hubs_equal_those_of_networkx_with_ties_to_the_higher_score() -> None:
    rng = np.random.default_rng(0)
    orders = np.concatenate([patch_order(rng.random((3, 144))), random_order(3, 0)])
    kept = [2, 5, 40, 144]
    for order, hubs in zip(orders, image_hubs(orders, kept), strict=True):
        for count, found in zip(kept, hubs, strict=True):
            graph = nx.Graph()
            graph.add_nodes_from(order[:count].tolist())
            graph.add_edges_from(pair for pair in GRID_EDGES.tolist() if set(pair) <= set(graph.nodes))
            central = nx.betweenness_centrality(graph, normalized=False)
            expected = max(range(count), key=lambda rank: (round(central[order[rank]], 5), -rank))
            assert found == expected


def test_an_edge_needs_both_patches() -> None:
    inside = np.zeros(144, dtype=bool)
    inside[[0, 1, 12, 30]] = True
    assert sorted(map(tuple, kept_edges(inside).tolist())) == [(0, 1), (0, 12)]


def test_entities_are_in_the_order_of_the_text_and_relations_undirected_once() -> None:
    graph = parse_report_graph(ENTITIES)
    assert [tokens for tokens, _ in graph.nodes] == ["small", "effusion", "pleural"]
    assert graph.edges == ((0, 1), (1, 2))


def test_flat_arrays_hold_every_image_of_a_study() -> None:
    graphs = {
        "a": parse_report_graph(ENTITIES),
        "b": parse_report_graph({}),
        "c": parse_report_graph({"1": ENTITIES["2"] | {"relations": []}}),
    }
    flat = flatten(graphs, ["a", "b", "c", "a"], 32)
    assert flat.node_offsets.tolist() == [0, 3, 3, 4, 7]
    assert flat.edge_offsets.tolist() == [0, 2, 2, 2, 4]
    assert flat.hubs.tolist() == [1, -1, 0, 1]
    assert flat.nodes[:3].tolist() == flat.nodes[4:].tolist()
    assert flat.nodes[3] == flat.nodes[1]
    assert flat.vectors.shape == (3, 36)


def test_a_study_without_graph_is_an_error() -> None:
    with pytest.raises(UserError, match="1 of 2 studies"):
        flatten({"a": parse_report_graph({})}, ["a", "b"], 32)


def test_vectors_of_like_words_are_alike_and_tell_present_from_absent() -> None:
    one, many, other = (entity_vector(word, "OBS-DP", 128) for word in ("effusion", "effusions", "cardiomegaly"))
    assert one[:128] @ many[:128] > 0.5 > abs(one[:128] @ other[:128])
    np.testing.assert_allclose(np.linalg.norm(one[:128]), 1, rtol=1e-6)
    absent = entity_vector("Effusion", "OBS-DA", 128)
    np.testing.assert_array_equal(absent[:128], one[:128])
    assert absent[128:].tolist() == [0, 0, 0, 1]


def ranking(folder: Path, studies: list[str]) -> Path:
    ids = np.array([f"i{number}" for number in range(len(studies))])
    order = patch_order(np.random.default_rng(0).random((len(studies), 144)))
    names = {"image_id": ids, "patient_id": ids, "study_id": np.array(studies), "split": np.array(["train"] * len(ids))}
    np.savez(folder / "ranking.npz", **names, order_attention=order, order_random=random_order(len(ids), 0))
    return folder / "ranking.npz"


def test_graphs_come_back_from_the_file(tmp_path: Path) -> None:
    lines = [{"study_id": name, "text": "", "entities": ENTITIES if name == "a" else {}} for name in ("a", "b")]
    (tmp_path / "graphs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    build_graphs(
        ranking(tmp_path, ["a", "b", "a"]),
        tmp_path / "graphs.jsonl",
        tmp_path / "graphs.npz",
        GraphSettings(text_width=16),
        PruningSettings(percentiles=(2.3, 100)),
    )
    graphs = Graphs.load(tmp_path / "graphs.npz")
    assert graphs.kept.tolist() == [4, 144]
    assert sorted(graphs.orders) == sorted(graphs.hubs) == ["attention", "random"]
    assert graphs.hubs["random"].shape == (3, 2)
    assert graphs.reports.hubs.tolist() == [1, -1, 1]
    assert read_report_graphs(tmp_path / "graphs.jsonl")["b"].nodes == ()


def test_pythons_hash_seed_changes_nothing(tmp_path: Path) -> None:
    lines = [{"study_id": f"s{n}", "text": "", "entities": dict(list(ENTITIES.items())[n:])} for n in (0, 2)]
    lines[1]["entities"]["3"]["relations"] = []  # type: ignore[index]
    (tmp_path / "graphs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ranking(tmp_path, ["s0", "s2"])
    program = (
        "import sys; from pathlib import Path\n"
        "from cxrflow.neural.graphs import build_graphs\n"
        "from cxrflow.neural.settings import GraphSettings, PruningSettings\n"
        "folder, settings = Path(sys.argv[1]), (GraphSettings(), PruningSettings())\n"
        "build_graphs(folder / 'ranking.npz', folder / 'graphs.jsonl', folder / sys.argv[2], *settings)"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", program, str(tmp_path), f"{seed}.npz"], check=True, env=environment)
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()
