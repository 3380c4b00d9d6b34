"""The dense graph convolution equals torch-geometric's, padding changes nothing, batches hold the right graphs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.nn import GCNConv, global_mean_pool

from cxrflow.neural.gnn import GraphClassifier, GraphConvolution, mean_of_real, normalised
from cxrflow.neural.graph_batches import NEIGHBOURS, ShuffledGraphs, SplitGraphs, Variant, variants
from cxrflow.neural.graphs import Graphs, build_graphs
from cxrflow.neural.pruning import random_order
from cxrflow.neural.settings import GraphSettings, PruningSettings


@given(st.integers(1, 9), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_dense_convolution_equals_torch_geometric(nodes: int, density: float, seed: int) -> None:
    torch.manual_seed(seed)
    upper = (torch.rand(nodes, nodes) < density).float().triu(1)
    adjacency, features = upper + upper.T, torch.randn(nodes, 5)
    reference = GCNConv(5, 7)
    torch.nn.init.normal_(reference.bias)
    dense = GraphConvolution(5, 7)
    dense.load_state_dict({"linear.weight": reference.lin.weight, "bias": reference.bias})
    padded = torch.zeros(1, nodes + 3, nodes + 3)
    padded[0, :nodes, :nodes] = adjacency
    extended = torch.cat([features, torch.zeros(3, 5)])[None]
    found = dense(extended, normalised(padded))[0, :nodes]
    expected = reference(features, adjacency.nonzero().T)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    real = torch.arange(nodes + 3)[None] < nodes
    pooled = global_mean_pool(expected, torch.zeros(nodes, dtype=torch.long))
    torch.testing.assert_close(mean_of_real(dense(extended, normalised(padded)), real), pooled, atol=1e-5, rtol=1e-5)


def test_a_graph_without_nodes_pools_to_zero() -> None:
    assert mean_of_real(torch.ones(1, 2, 3), torch.zeros(1, 2, dtype=torch.bool)).tolist() == [[0, 0, 0]]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SplitGraphs:
    folder = tmp_path_factory.mktemp("graphs")
    entity = {"tokens": "heart", "label": "ANAT-DP", "start_ix": 0, "end_ix": 0, "relations": []}
    chain = {str(n): entity | {"start_ix": n, "relations": [["modify", "1"]] if n != 1 else []} for n in range(3)}
    graphs = {"a": chain, "b": {}, "c": {"0": entity}}
    lines = [json.dumps({"study_id": study, "entities": entities}) for study, entities in graphs.items()]
    (folder / "graphs.jsonl").write_text("\n".join(lines))
    ids = np.array(["x", "y", "z"])
    names = {"image_id": ids, "patient_id": ids, "study_id": np.array(list(graphs)), "split": np.array(["train"] * 3)}
    np.savez(folder / "ranking.npz", **names, order_attention=random_order(3, 1), order_random=random_order(3, 2))
    settings_ = (GraphSettings(text_width=16), PruningSettings())
    build_graphs(folder / "ranking.npz", folder / "graphs.jsonl", folder / "g.npz", *settings_)
    features = np.random.default_rng(0).random((3, 144, 6)).astype(np.float16)
    return SplitGraphs(Graphs.load(folder / "g.npz"), np.arange(3), features, torch.eye(3))


def test_variants_name_the_whole_radiograph_and_the_report_once(split: SplitGraphs) -> None:
    found = variants(split.graphs, ("fused", "image", "text"))
    assert len(found) == len(set(found)) == 2 * (4 * 2 + 1) + 1
    texts = {(v.input, v.selector): v.text for v in found}
    assert texts[("image", "random")] == texts[("image", "all")] == "none"
    assert texts[("image", "attention")] == texts[("text", "none")] == texts[("fused", "random")] == "reference"


@pytest.mark.parametrize("selector", ["attention", "random"])
def test_a_fused_batch_holds_patches_entities_and_one_edge_between_hubs(split: SplitGraphs, selector: str) -> None:
    variant = Variant("fused", selector, 6.6, 10)
    batch = split.batch(np.array([0, 1, 2]), variant)
    order = split.graphs.orders[selector][:, :10].astype(int)
    assert batch["real"].sum(dim=1).tolist() == [13, 10, 11]
    for row in range(3):
        adjacency = batch["adjacency"][row].numpy()
        np.testing.assert_array_equal(adjacency, adjacency.T)
        np.testing.assert_array_equal(adjacency[:10, :10], NEIGHBOURS[order[row]][:, order[row]])
        np.testing.assert_array_equal(batch["patches"][row].numpy(), split.features[row, order[row]].astype(np.float32))
    hub = int(split.graphs.hubs[selector][0, 1])
    assert batch["adjacency"][0, :10, 10:].nonzero().tolist() == [[hub, 1]]
    assert batch["adjacency"][1, :10, 10:].sum() == 0
    assert batch["adjacency"][0, 10:, 10:].tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_inputs_leave_the_other_part_out(split: SplitGraphs) -> None:
    image = split.batch(np.arange(3), Variant("image", "attention", 2.3, 4))
    assert image["adjacency"].shape == (3, 4, 4)
    text = split.batch(np.arange(3), Variant("text", "none", 0.0, 0))
    assert text["patches"].shape == (3, 0, 6)
    assert text["real"].sum(dim=1).tolist() == [3, 0, 1]


def test_a_graphs_logit_does_not_depend_on_its_neighbours_in_the_batch(split: SplitGraphs) -> None:
    torch.manual_seed(0)
    model = GraphClassifier(6, 20, 16, 3)
    variant = Variant("fused", "attention", 10.0, 15)
    together = model(split.batch(np.arange(3), variant))
    alone = torch.cat([model(split.batch(np.array([row]), variant)) for row in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_an_epoch_holds_every_graph_once(split: SplitGraphs) -> None:
    batches = ShuffledGraphs(split, Variant("image", "random", 2.3, 4), 2, seed=1)
    rows = torch.cat([batch["targets"] for batch in batches.epoch(0)]).argmax(dim=1)
    assert sorted(rows.tolist()) == [0, 1, 2]
    assert len(batches) == 2
    again = torch.cat([batch["targets"] for batch in batches.epoch(0)]).argmax(dim=1)
    assert rows.tolist() == again.tolist()


def test_features_file_of_float16_is_read_as_it_is(tmp_path: Path, split: SplitGraphs) -> None:
    np.save(tmp_path / "f.npy", split.features)
    mapped = SplitGraphs(split.graphs, split.rows, np.load(tmp_path / "f.npy", mmap_mode="r"), split.targets)
    variant = Variant("image", "attention", 2.3, 4)
    assert torch.equal(mapped.batch(np.arange(3), variant)["patches"], split.batch(np.arange(3), variant)["patches"])
