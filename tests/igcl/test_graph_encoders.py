"""Encoders: torch-geometric's layers with the same weights, no dependence on the rest of the batch, published size."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.igcl.made_up_graphs import edges_of, features_of, random_store, store_of, stores
from torch import Tensor, nn
from torch_geometric.nn import RGCNConv

from cxrflow.igcl.graph_batches import GraphBatch, GraphReader
from cxrflow.igcl.graph_encoders import GraphEncoder
from cxrflow.igcl.graph_layers import NodeTransformer, RelationalConvolution, padded
from cxrflow.igcl.graph_settings import GraphEncoderSettings, GraphSettings
from cxrflow.igcl.graph_store import GraphStore
from cxrflow.igcl.graph_transforms import transformed

torch.set_num_threads(1)

ARCHITECTURES = ("dracon", "rgcn", "gcn", "gat", "sage")


def reader_of(store: GraphStore) -> GraphReader:
    return GraphReader(store, features_of(store))


def encoder_of(reader: GraphReader, **settings: object) -> GraphEncoder:
    torch.manual_seed(0)
    chosen = GraphEncoderSettings.model_validate({"width": 16, **settings})
    return GraphEncoder(reader.features.width, reader.store.relations, chosen).eval()


@pytest.fixture(scope="module")
def reader() -> GraphReader:
    """Return 64 graphs of 0 to 39 entities with reaction nodes."""
    return reader_of(transformed(random_store(64), GraphSettings()))


def test_the_published_network_has_the_published_number_of_parameters() -> None:
    assert sum(each.numel() for each in GraphEncoder(772, 4, GraphEncoderSettings()).parameters()) == 5_916_160


@pytest.mark.parametrize("pooling", ["mean", "attention"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_graph_has_the_same_vector_alone_and_in_a_batch_of_64(
    reader: GraphReader, architecture: str, pooling: str
) -> None:
    encoder = encoder_of(reader, architecture=architecture, pooling=pooling, fc_layers=1)
    with torch.no_grad():
        together = encoder(reader.batch(np.arange(64)))
        alone = torch.cat([encoder(reader.batch(np.array([graph]))) for graph in range(64)])
    assert together.shape == (64, 16)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_the_order_of_a_batch_is_that_of_its_vectors(reader: GraphReader) -> None:
    encoder, rows = encoder_of(reader), np.random.default_rng(1).permutation(64)
    with torch.no_grad():
        expected = encoder(reader.batch(np.arange(64)))[rows]
        torch.testing.assert_close(encoder(reader.batch(rows)), expected, atol=1e-5, rtol=0)


@given(stores.filter(lambda store: len(store.labels) > 0))
def test_the_relational_convolution_equals_torch_geometrics(store: GraphStore) -> None:
    batch = reader_of(transformed(store, GraphSettings())).batch(np.arange(len(store)))
    torch.manual_seed(0)
    theirs, ours = RGCNConv(16, 9, 4), RelationalConvolution(16, 9, 4)
    nn.init.normal_(theirs.bias)
    ours.load_state_dict({"itself.weight": theirs.root.T, "itself.bias": theirs.bias, "weight": theirs.weight})
    expected = theirs(batch["nodes"], batch["edges"], batch["relations"])
    found = ours(batch["nodes"], batch)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for result in (found, expected):
        result.square().sum().backward()
    unused = torch.zeros_like(ours.weight)  # without any edge there is no gradient
    gradients = [unused if each.grad is None else each.grad for each in (ours.weight, theirs.weight)]
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


def test_the_mean_over_the_sources_of_each_relation_by_hand() -> None:
    store = store_of([(4, [(1, 0, 1), (2, 0, 1), (3, 0, 0)])])
    batch = reader_of(store).batch(np.array([0]))
    layer = RelationalConvolution(16, 16, 4)
    layer.load_state_dict({**layer.state_dict(), "weight": torch.eye(16) * torch.tensor([1.0, 10, 0, 0]).view(4, 1, 1)})
    with torch.no_grad():
        added = layer(batch["nodes"], batch) - layer.itself(batch["nodes"])
    x = batch["nodes"]
    torch.testing.assert_close(added[0], x[3] + 10 * (x[1] + x[2]) / 2, atol=1e-5, rtol=1e-5)
    assert not added[1:].any()


def test_the_transformer_layer_equals_torchs_with_a_padding_mask(reader: GraphReader) -> None:
    batch = reader.batch(np.arange(20))
    torch.manual_seed(0)
    theirs = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True)
    ours = NodeTransformer(16, 2, 0.0)
    names = {
        "projection": "self_attn.in_proj_",
        "output": "self_attn.out_proj.",
        "inner": "linear1.",
        "outer": "linear2.",
    }
    names |= {"norms.0": "norm1.", "norms.1": "norm2."}
    state = theirs.state_dict()
    ours.load_state_dict(
        {f"{mine}.{part}": state[f"{name}{part}"] for mine, name in names.items() for part in ("weight", "bias")}
    )
    nodes = torch.randn(len(batch["graph"]), 16)
    unseen = ~batch["mask"]
    unseen[:, 0] = False
    expected = theirs(padded(nodes, batch), src_key_padding_mask=unseen)[batch["mask"]]
    torch.testing.assert_close(ours(nodes, batch), expected, atol=1e-5, rtol=1e-5)


def gradients(encoder: GraphEncoder, batch: GraphBatch) -> list[Tensor]:
    encoder.zero_grad()
    encoder(batch).square().sum().backward()
    return [each.grad for each in encoder.parameters() if each.grad is not None]


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_graphs_without_nodes_have_a_vector_and_leave_all_gradients_finite(pooling: str) -> None:
    reader = reader_of(store_of([(0, []), (3, [(0, 1, 0)]), (0, [])]))
    encoder = encoder_of(reader, pooling=pooling)
    nothing, some, again = encoder(reader.batch(np.arange(3)))
    assert torch.equal(nothing, again)
    assert torch.isfinite(some).all()
    for rows in (np.arange(3), np.array([0]), np.array([0, 2])):
        assert all(torch.isfinite(gradient).all() for gradient in gradients(encoder, reader.batch(rows)))


def test_every_parameter_of_every_architecture_learns(reader: GraphReader) -> None:
    for architecture in ARCHITECTURES:
        encoder = encoder_of(reader, architecture=architecture, pooling="attention")
        found = gradients(encoder, reader.batch(np.arange(64)))
        assert len(found) == len(list(encoder.parameters()))
        assert sum(bool(gradient.any()) for gradient in found) >= len(found) - 1  # a score's bias changes no softmax


def test_attention_joins_what_no_edge_joins_and_convolutions_alone_do_not() -> None:
    store = store_of([(2, [])])
    reader = reader_of(store)
    for architecture, changes in (("dracon", True), ("rgcn", False)):
        encoder = encoder_of(reader, architecture=architecture)
        batch = reader.batch(np.array([0]))
        one = nodes_of(encoder, batch)[0]
        batch["nodes"][1] += 1
        assert bool((nodes_of(encoder, batch)[0] - one).abs().max() > 1e-6) is changes


@torch.no_grad()
def nodes_of(encoder: GraphEncoder, batch: GraphBatch) -> Tensor:
    nodes = batch["nodes"]
    for layer in encoder.convolutions:
        nodes = layer(nodes, batch)
    for layer in encoder.attention:
        nodes = layer(nodes, batch)
    return nodes


def test_the_vector_is_not_negative_after_a_linear_layer(reader: GraphReader) -> None:
    assert (encoder_of(reader, fc_layers=1)(reader.batch(np.arange(64))) >= 0).all()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_step_is_possible_in_the_deterministic_mode_and_in_bf16(reader: GraphReader, precision: torch.dtype) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        encoder = encoder_of(reader)
        with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
            encoder(reader.batch(np.arange(64))).float().square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.isfinite(each.grad).all() for each in encoder.parameters() if each.grad is not None)


@given(stores.filter(lambda store: len(store) > 0), st.data())
def test_a_batch_holds_the_graphs_of_its_rows(store: GraphStore, data: st.DataObject) -> None:
    store = transformed(store, GraphSettings(both_directions=True))
    reader = reader_of(store)
    rows = np.array(data.draw(st.lists(st.integers(0, len(store) - 1), min_size=1, max_size=5)))
    batch = reader.batch(rows)
    starts = np.concatenate([[0], np.cumsum(store.sizes[rows])])
    expected = [
        (source + start, target + start, kind)
        for row, start in zip(rows.tolist(), starts.tolist(), strict=False)
        for source, target, kind in edges_of(store, row)
    ]
    ends = batch["edges"].T.tolist()
    found = [(source, target, kind) for (source, target), kind in zip(ends, batch["relations"].tolist(), strict=True)]
    assert sorted(found) == sorted(expected)
    assert batch["mask"].sum(dim=1).tolist() == store.sizes[rows].tolist()
    nodes = [node for row in rows for node in range(store.node_offsets[row], store.node_offsets[row + 1])]
    np.testing.assert_array_equal(batch["nodes"].numpy(), reader.features.of(np.array(nodes, dtype=np.int64)))
    assert torch.equal(padded(batch["nodes"], batch)[batch["mask"]], batch["nodes"])
