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
from cxrflow.neural.centrality import betweenness, first_highest, hubs
from cxrflow.neural.graphs import GRID_EDGES, Graphs, build_graphs, image_hubs, kept_betweenness
from cxrflow.neural.node_embeddings import entity_vectors
from cxrflow.neural.pruning import patch_order, random_order
from cxrflow.neural.report_graphs import parse_report_graph, read_text_graphs
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
    star, pair, loose, empty = [(2, 0), (2, 1), (2, 3)], [(1, 2)], [], []
    offsets, edge_offsets = np.cumsum([0, 4, 3, 5, 0]), np.cumsum([0, 3, 1, 0, 0])
    found = hubs(offsets, np.array([*star, *pair, *loose, *empty]), edge_offsets)
    assert found.tolist() == [2, 0, 0, -1]


@given(st.lists(st.lists(st.integers(0, 3), max_size=5), max_size=6))
def test_the_first_of_the_highest_in_each_part(parts: list[list[int]]) -> None:
    offsets = np.cumsum([0, *map(len, parts)])
    expected = [part.index(max(part)) if part else -1 for part in parts]
    assert (
        first_highest(np.array([value for part in parts for value in part], dtype=float), offsets).tolist() == expected
    )


def test_image_hubs_equal_those_of_networkx_with_ties_to_the_higher_score() -> None:
    rng = np.random.default_rng(0)
    orders = np.concatenate([patch_order(rng.random((3, 144))), random_order(3, 0)])
    kept = [2, 5, 40, 144]
    for order, positions in zip(orders, image_hubs(orders, kept), strict=True):
        for count, found in zip(kept, positions, strict=True):
            graph = nx.Graph()
            graph.add_nodes_from(order[:count].tolist())
            graph.add_edges_from(pair for pair in GRID_EDGES.tolist() if set(pair) <= set(graph.nodes))
            central = nx.betweenness_centrality(graph, normalized=False)
            expected = max(range(count), key=lambda rank: (round(central[order[rank]], 5), -rank))
            assert found == expected


def test_betweenness_of_kept_patches_by_hand() -> None:
    # 0 - 1 - 13 is a path with 1 inside; 30 touches nothing. In the second set no path has an inner node.
    found = kept_betweenness(np.array([[30, 13, 0, 1], [0, 1, 30, 32]]))
    assert {place: value for place, value in enumerate(found[0]) if value} == {1: 1.0}
    assert not found[1].any()


def test_entities_are_in_the_order_of_the_text_and_relations_undirected_once() -> None:
    graph = parse_report_graph(ENTITIES)
    assert [tokens for tokens, _ in graph.nodes] == ["small", "effusion", "pleural"]
    assert graph.edges == ((0, 1), (1, 2))


def write_lines(path: Path, graphs: dict[str, dict]) -> Path:
    lines = [json.dumps({"study_id": name, "text": "", "entities": entities}) for name, entities in graphs.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


LONE = {"1": ENTITIES["2"] | {"relations": []}}


def test_flat_arrays_are_in_the_order_of_the_images(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", {"z": LONE, "other": ENTITIES, "x": ENTITIES, "y": {}, "w": ENTITIES})
    flat = read_text_graphs({"reference": file}, ["x", "y", "z", "w"], GraphSettings(text_width=32))["reference"]
    assert flat.node_offsets.tolist() == [0, 3, 3, 4, 7]
    assert flat.edge_offsets.tolist() == [0, 2, 2, 2, 4]
    assert flat.hubs.tolist() == [1, -1, 0, 1]
    assert flat.nodes[:3].tolist() == flat.nodes[4:].tolist()
    assert flat.nodes[3] == flat.nodes[1]
    assert flat.vectors.shape == (3, 36)


def test_an_entity_has_one_vector_in_all_texts(tmp_path: Path) -> None:
    files = {
        "reference": write_lines(tmp_path / "reference.jsonl", {"x": ENTITIES}),
        "generated": write_lines(tmp_path / "generated.jsonl", {"x": LONE | {"9": LONE["1"] | {"tokens": "new"}}}),
    }
    settings = GraphSettings(text_width=16)
    both = read_text_graphs(files, ["x"], settings)
    for text, words in {"reference": ["small", "effusion", "pleural"], "generated": ["effusion", "new"]}.items():
        labels = {"small": "OBS-DP", "pleural": "ANAT-DP"}
        expected = entity_vectors([(word, labels.get(word, "OBS-DA")) for word in words], settings)
        np.testing.assert_array_equal(both[text].vectors[both[text].nodes], expected)
    swapped = read_text_graphs(dict(reversed(files.items())), ["x"], settings)
    assert swapped["reference"].nodes.tolist() == both["reference"].nodes.tolist()


def test_a_radiograph_without_report_graph_is_an_error(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", {"a": {}})
    with pytest.raises(UserError, match=r"1 of 2 radiographs.*'masked'"):
        read_text_graphs({"masked": file}, ["a", "b"], GraphSettings())


def ranking(folder: Path, images: list[str]) -> Path:
    ids = np.array(images)
    order = patch_order(np.random.default_rng(0).random((len(images), 144)))
    names = {"image_id": ids, "patient_id": ids, "study_id": ids, "split": np.array(["train"] * len(ids))}
    orders = {"order_attention_generated_masked": order, "order_random": random_order(len(ids), 0)}
    np.savez(folder / "ranking.npz", **names, **orders)
    return folder / "ranking.npz"


def test_graphs_come_back_from_the_file(tmp_path: Path) -> None:
    texts = {
        "generated": write_lines(tmp_path / "generated.jsonl", {"a": ENTITIES, "b": {}}),
        "generated_masked": write_lines(tmp_path / "generated_masked.jsonl", {"b": LONE, "a": {}}),
    }
    settings = GraphSettings(text_width=16), PruningSettings(percentiles=(2.3, 100))
    build_graphs(ranking(tmp_path, ["a", "b"]), texts, tmp_path / "graphs.npz", *settings)
    graphs = Graphs.load(tmp_path / "graphs.npz")
    assert graphs.kept.tolist() == [4, 144]
    assert sorted(graphs.orders) == sorted(graphs.hubs) == ["attention_generated_masked", "random"]
    assert graphs.hubs["random"].shape == (2, 2)
    assert list(graphs.reports) == ["generated", "generated_masked"]
    assert graphs.reports["generated"].hubs.tolist() == [1, -1]
    assert graphs.reports["generated_masked"].hubs.tolist() == [-1, 0]
    assert graphs.reports["generated"].vectors is graphs.reports["generated_masked"].vectors
    with np.load(tmp_path / "graphs.npz", allow_pickle=False) as file:
        assert not any(file[name].dtype.hasobject for name in file.files)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    orders, kept = random_order(7, 3), [4, 36]
    whole = image_hubs(orders, kept)
    monkeypatch.setattr("cxrflow.neural.graphs._BLOCK", 2)
    np.testing.assert_array_equal(image_hubs(orders, kept), whole)


def test_pythons_hash_seed_changes_nothing(tmp_path: Path) -> None:
    later = dict(list(ENTITIES.items())[2:])
    later["3"] = later["3"] | {"relations": []}
    write_lines(tmp_path / "reference.jsonl", {"s0": ENTITIES, "s2": later})
    ranking(tmp_path, ["s0", "s2"])
    program = (
        "import sys; from pathlib import Path\n"
        "from cxrflow.neural.graphs import build_graphs\n"
        "from cxrflow.neural.settings import GraphSettings, PruningSettings\n"
        "folder, settings = Path(sys.argv[1]), (GraphSettings(), PruningSettings())\n"
        "texts = {'reference': folder / 'reference.jsonl'}\n"
        "build_graphs(folder / 'ranking.npz', texts, folder / sys.argv[2], *settings)"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", program, str(tmp_path), f"{seed}.npz"], check=True, env=environment)
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()
