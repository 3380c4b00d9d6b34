"""The dense classifier equals torch-geometric's layers, padding changes nothing, batches hold the right graphs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.nn import GCNConv, global_mean_pool

from cxrflow.errors import UserError
from cxrflow.losses import known_cross_entropy
from cxrflow.neural import graph_batches
from cxrflow.neural.gnn import (
    GraphClassifier,
    GraphConvolution,
    SymmetricProduct,
    block_diagonal,
    normalised,
    standardised,
)
from cxrflow.neural.gnn_training import Cohort, GraphFiles, predict, train_gnn, train_variant
from cxrflow.neural.graph_batches import GRID_HUB, NEIGHBOURS, ShuffledGraphs, SplitGraphs, in_order
from cxrflow.neural.graphs import Graphs, build_graphs
from cxrflow.neural.pruning import random_order
from cxrflow.neural.settings import GnnSettings, GraphSettings, PruningSettings
from cxrflow.neural.variants import Variant, variants

torch.set_num_threads(1)

TEXT = Variant("text", "none", "reference", 0.0, 0)
IMAGE = Variant("image", "attention", "reference", 2.3, 4)
FUSED = Variant("fused", "attention", "reference", 6.6, 10)
WHOLE = Variant("fused", "all", "reference", 100.0, 144)
QUICK = GnnSettings(targets=("Edema", "Fracture"), hidden=16, epochs=3, batch_size=4, precision="fp32")


@given(st.integers(1, 9), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_both_forms_of_the_convolution_equal_torch_geometric(nodes: int, density: float, seed: int) -> None:
    torch.manual_seed(seed)
    upper = (torch.rand(nodes, nodes) < density).float().triu(1)
    adjacency, features = upper + upper.T, torch.randn(nodes, 5)
    reference = GCNConv(5, 7)
    torch.nn.init.normal_(reference.bias)
    ours = GraphConvolution(5, 7)
    ours.load_state_dict({"linear.weight": reference.lin.weight, "bias": reference.bias})
    padded = torch.zeros(1, nodes + 3, nodes + 3)
    padded[0, :nodes, :nodes] = adjacency
    extended = torch.cat([features, torch.zeros(3, 5)])[None]
    expected = reference(features, adjacency.nonzero().T)
    expected.square().sum().backward()
    for form in (normalised(padded), block_diagonal(normalised(padded))):
        ours.zero_grad()
        found = ours(extended, form)[0, :nodes]
        found.square().sum().backward()
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.linear.weight.grad, reference.lin.weight.grad, atol=1e-3, rtol=1e-4)


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 99))
def test_the_sparse_form_holds_each_adjacency_along_its_diagonal(count: int, nodes: int, seed: int) -> None:
    torch.manual_seed(seed)
    upper = (torch.rand(count, nodes, nodes) < 0.4).float().triu(1)
    dense = normalised(upper + upper.mT)
    torch.testing.assert_close(block_diagonal(dense).to_dense(), torch.block_diag(*dense), atol=0, rtol=0)
    features, gradient = torch.randn(count, nodes, 5, requires_grad=True), torch.randn(count, nodes, 5)
    (expected,) = torch.autograd.grad(dense @ features, features, gradient)
    product = SymmetricProduct.apply(block_diagonal(dense), features.flatten(0, 1)).view_as(features)
    torch.testing.assert_close(torch.autograd.grad(product, features, gradient)[0], expected)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SplitGraphs:
    """Three graphs: a chain of three entities, none, a single one."""
    folder = tmp_path_factory.mktemp("graphs")
    entity = {"tokens": "heart", "label": "ANAT-DP", "start_ix": 0, "end_ix": 0, "relations": []}
    chain = {str(n): entity | {"start_ix": n, "relations": [["modify", "1"]] if n != 1 else []} for n in range(3)}
    ids = np.array(["x", "y", "z"])
    graphs = zip(ids.tolist(), [chain, {}, {"0": entity}], strict=True)
    lines = [json.dumps({"study_id": image, "entities": entities}) for image, entities in graphs]
    (folder / "reference.jsonl").write_text("\n".join(lines))
    names = {"image_id": ids, "patient_id": ids, "study_id": ids, "split": np.array(["train"] * 3)}
    orders = {"order_attention_reference": random_order(3, 1), "order_random": random_order(3, 2)}
    np.savez(folder / "ranking.npz", **names, **orders)
    settings_ = (GraphSettings(text_width=16), PruningSettings())
    build_graphs(folder / "ranking.npz", {"reference": folder / "reference.jsonl"}, folder / "g.npz", *settings_)
    features = np.random.default_rng(0).random((3, 144, 6)).astype(np.float16)
    return SplitGraphs(Graphs.load(folder / "g.npz"), np.arange(3), features, torch.eye(3))


def edges_of(split: SplitGraphs, row: int, variant: Variant) -> torch.Tensor:
    """Return both directions of every edge (2, m) of one graph, from the flat arrays."""
    kept, reports = variant.kept, split.graphs.reports["reference"]
    order = split.graphs.orders[variant.ranking][row, :kept].astype(int) if variant.ranking else np.arange(kept)
    pairs = [(a, b) for a in range(kept) for b in range(a) if NEIGHBOURS[order[a], order[b]]]
    if variant.input != "image":
        start, end = reports.edge_offsets[row : row + 2]
        pairs += [(kept + a, kept + b) for a, b in reports.edges[start:end].tolist()]
    if variant.input == "fused" and reports.hubs[row] >= 0:
        share = split.graphs.percentiles.tolist().index(variant.kept_percent)
        hub = int(split.graphs.hubs[variant.ranking][row, share]) if variant.ranking else GRID_HUB
        pairs.append((hub, kept + int(reports.hubs[row])))
    both = [*pairs, *((b, a) for a, b in pairs)]
    return torch.tensor(both, dtype=torch.long).reshape(-1, 2).T


@pytest.mark.parametrize("variant", [TEXT, IMAGE, FUSED, WHOLE], ids=lambda v: f"{v.input} {v.kept}")
def test_the_classifier_equals_torch_geometrics_layers_graph_by_graph(split: SplitGraphs, variant: Variant) -> None:
    torch.manual_seed(0)
    model = GraphClassifier(6, 20, 16, 3)
    layers = []
    for convolution in (model.first, model.second):
        torch.nn.init.normal_(convolution.bias)
        layers.append(GCNConv(16, 16))
        layers[-1].load_state_dict({"lin.weight": convolution.linear.weight, "bias": convolution.bias})
    found = model(split.batch(np.arange(3), variant))
    reports = split.graphs.reports["reference"]
    for row in range(3):
        order = split.graphs.orders[variant.ranking][row] if variant.ranking else np.arange(144)
        patches = torch.from_numpy(split.features[row, order[: variant.kept]]).float()
        start, end = reports.node_offsets[row : row + 2] if variant.input != "image" else (0, 0)
        entities = torch.from_numpy(reports.vectors[reports.nodes[start:end]])
        nodes = torch.cat([model.patch_map(torch.nn.LayerNorm(6)(patches)), model.entity_map(entities)])
        for layer in layers:
            nodes = torch.relu(layer(nodes, edges_of(split, row, variant)))
        pooled = global_mean_pool(nodes, torch.zeros(len(nodes), dtype=torch.long), size=1)
        torch.testing.assert_close(found[row], model.head(pooled)[0], atol=1e-4, rtol=1e-4)


def adjacencies(batch: dict[str, Tensor]) -> Tensor:
    """Return the adjacencies (B, n, n) of a batch."""
    count = len(batch["share"])
    blocks = batch["adjacency"].to_dense().unflatten(0, (count, -1)).unflatten(2, (count, -1))
    return blocks[range(count), :, range(count)]


def test_a_batch_holds_patches_entities_and_one_edge_between_hubs(split: SplitGraphs) -> None:
    batch = split.batch(np.array([0, 1, 2]), FUSED)
    order = split.graphs.orders["attention_reference"][:, :10].astype(int)
    assert (batch["share"] > 0).sum(dim=1).tolist() == [13, 10, 11]
    torch.testing.assert_close(batch["share"].sum(dim=1), torch.ones(3))
    for row, adjacency in enumerate(adjacencies(batch)):
        torch.testing.assert_close(adjacency, adjacency.T)
        edges = (adjacency.numpy() > 0) & ~np.eye(13, dtype=bool)
        np.testing.assert_array_equal(edges[:10, :10], NEIGHBOURS[order[row]][:, order[row]] > 0)
        patches = torch.from_numpy(split.features[row, order[row]].astype(np.float32))
        torch.testing.assert_close(batch["patches"][row], standardised(patches[None])[0])
    hub = int(split.graphs.hubs["attention_reference"][0, 1])
    assert adjacencies(batch)[0, :10, 10:].nonzero().tolist() == [[hub, 1]]
    assert adjacencies(batch)[1, :10, 10:].sum() == 0
    assert (adjacencies(batch)[0, 10:, 10:] > 0).int().tolist() == [[1, 1, 0], [1, 1, 1], [0, 1, 1]]


def test_a_whole_radiograph_is_in_the_order_of_its_patches(split: SplitGraphs) -> None:
    batch = split.batch(np.arange(3), Variant("image", "all", "none", 100.0, 144))
    edges = (adjacencies(batch) > 0).float() - torch.eye(144)
    assert torch.equal(edges, torch.from_numpy(NEIGHBOURS).expand(3, 144, 144))
    assert batch["entities"].shape == (3, 0, 20)
    assert GRID_HUB == 5 * 12 + 5  # one of the four middle ones, the first


def test_the_same_patches_in_any_order_are_the_same_graph(split: SplitGraphs) -> None:
    shuffled = np.random.default_rng(5).permuted(split.graphs.orders["random"][:, :36], axis=1)
    orders = {"random": np.concatenate([shuffled, split.graphs.orders["random"][:, 36:]], axis=1)}
    other = replace(split, graphs=replace(split.graphs, orders=orders))
    torch.manual_seed(0)
    model, variant = GraphClassifier(6, 20, 16, 3), Variant("image", "random", "none", 25.0, 36)
    first, second = (model(data.batch(np.arange(3), variant)) for data in (split, other))
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)


def test_inputs_leave_the_other_part_out(split: SplitGraphs) -> None:
    image = split.batch(np.arange(3), IMAGE)
    assert adjacencies(image).shape == (3, 4, 4)
    text = split.batch(np.arange(3), TEXT)
    assert text["patches"].shape == (3, 0, 6)
    assert (text["share"] > 0).sum(dim=1).tolist() == [3, 0, 1]


def test_a_report_without_entities_alone_has_a_logit(split: SplitGraphs) -> None:
    model = GraphClassifier(6, 20, 16, 3)
    torch.testing.assert_close(model(split.batch(np.array([1]), TEXT))[0], model.head.bias)


@pytest.mark.parametrize("variant", [TEXT, IMAGE, FUSED, WHOLE], ids=lambda v: f"{v.input} {v.kept}")
def test_a_graphs_logit_does_not_depend_on_its_neighbours_in_the_batch(split: SplitGraphs, variant: Variant) -> None:
    torch.manual_seed(0)
    model = GraphClassifier(6, 20, 16, 3)
    together = model(split.batch(np.arange(3), variant))
    alone = torch.cat([model(split.batch(np.array([row]), variant)) for row in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_an_epoch_holds_every_graph_once_and_epochs_differ_in_order(split: SplitGraphs) -> None:
    many = replace(split, rows=np.arange(40) % 3, features=split.features[np.arange(40) % 3], targets=torch.eye(40))
    batches = ShuffledGraphs.of(many, FUSED, 4, seed=1)
    epochs = [[batch["targets"].argmax(dim=1).tolist() for batch in batches.epoch(number)] for number in (0, 1, 0)]
    assert len(batches) == len(epochs[0]) == 10
    for epoch in epochs:
        assert sorted(place for batch in epoch for place in batch) == list(range(40))
    assert epochs[0] == epochs[2]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert [batch["targets"].argmax(dim=1).tolist() for batch in in_order(many, IMAGE, 32)][1] == list(range(32, 40))


def test_features_file_of_float16_is_read_as_it_is(tmp_path: Path, split: SplitGraphs) -> None:
    np.save(tmp_path / "f.npy", split.features)
    mapped = replace(split, features=np.load(tmp_path / "f.npy", mmap_mode="r"))
    assert torch.equal(mapped.batch(np.arange(3), IMAGE)["patches"], split.batch(np.arange(3), IMAGE)["patches"])


@pytest.fixture(scope="module")
def learnable(split: SplitGraphs) -> SplitGraphs:
    """Sixty graphs; the first target is told by the first features of every patch, the second by nothing."""
    rng = np.random.default_rng(0)
    truth = (rng.random((60, 2)) < 0.5).astype(np.float32)
    features = rng.normal(size=(60, 144, 6))
    features[:, :, :3] += 2 * truth[:, :1, None]
    return replace(split, rows=np.arange(60) % 3, features=features.astype(np.float16), targets=torch.from_numpy(truth))


def test_a_classifier_learns_what_the_patches_tell(learnable: SplitGraphs) -> None:
    settings_ = QUICK.model_copy(update={"epochs": 15, "learning_rate": 1e-2})
    model, _ = train_variant(learnable, learnable, IMAGE, settings_, 0)
    found = predict(model, in_order(learnable, IMAGE, 7))
    truth = learnable.targets[:, 0].numpy() == 1
    assert found.shape == (60, 2)
    assert found[truth, 0].min() > found[~truth, 0].max()


def test_what_is_stored_and_how_many_are_read_at_once_change_nothing(
    learnable: SplitGraphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained() -> np.ndarray:
        model, _ = train_variant(learnable, learnable, FUSED, QUICK, 0)
        return predict(model, in_order(learnable, FUSED, 60))

    stored = trained()
    monkeypatch.setattr(graph_batches, "STORED_BYTES", 0)
    np.testing.assert_array_equal(trained(), stored)
    monkeypatch.setattr("cxrflow.neural.gnn_training.READ_AT_ONCE", 8)
    np.testing.assert_allclose(trained(), stored, atol=1e-6)


def test_bf16_gives_nearly_the_numbers_of_fp32(learnable: SplitGraphs) -> None:
    torch.manual_seed(0)
    model = GraphClassifier(6, 20, 16, 2)
    exact = model(learnable.batch(np.arange(60), WHOLE))
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(replace(learnable, precision=torch.bfloat16).batch(np.arange(60), WHOLE))
    torch.testing.assert_close(rough.float(), exact, atol=0.05, rtol=0.05)


def test_a_codec_has_its_features_and_the_control_its_labels(learnable: SplitGraphs) -> None:
    ids = np.array([f"p{number}" for number in range(60)])
    whole = replace(learnable, rows=np.arange(60), graphs=replace(learnable.graphs, patient_id=ids))
    decoded = np.zeros_like(learnable.features)
    cohort = Cohort({"train": whole}, {"jpeg_2": {"train": decoded}})
    codec = cohort.seen_by(Variant("image", "jpeg_2", "none", 100.0, 144), 0)["train"]
    assert codec.features is decoded
    assert torch.equal(codec.targets, whole.targets)
    control = cohort.seen_by(FUSED._replace(labels="permuted"), 0)["train"]
    assert control.features is whole.features
    assert torch.equal(control.targets.sum(dim=0), whole.targets.sum(dim=0))
    assert not torch.equal(control.targets, whole.targets)
    assert cohort.seen_by(FUSED, 0)["train"] is whole


class Samples:
    """Stands for the cohort's tables: labels by image."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

    def samples(self, labels: list[str], uncertain: str) -> pd.DataFrame:
        return self.table[["image_id", *labels]]

    def tables(self) -> list[Path]:
        return []


@pytest.fixture
def cohort(tmp_path: Path) -> tuple[Samples, GraphFiles]:
    rng, count = np.random.default_rng(1), 36
    ids = np.array([f"i{number:02d}" for number in range(count)])
    names = {"image_id": ids, "patient_id": ids, "study_id": ids, "split": np.repeat(["train", "validate", "test"], 12)}
    np.savez(tmp_path / "ranking.npz", **names, order_attention_masked=random_order(count, 0))
    entity = {"tokens": "heart", "label": "ANAT-DP", "start_ix": 0, "end_ix": 0, "relations": []}
    lines = [json.dumps({"study_id": image, "entities": {"1": entity}}) for image in ids.tolist()]
    (tmp_path / "masked.jsonl").write_text("\n".join(lines))
    settings_ = (GraphSettings(text_width=16), PruningSettings(percentiles=(2.3, 100.0)))
    build_graphs(tmp_path / "ranking.npz", {"masked": tmp_path / "masked.jsonl"}, tmp_path / "g.npz", *settings_)
    for number, part in enumerate(("train", "validate", "test")):
        pd.DataFrame({"image_id": ids[12 * number : 12 * number + 12]}).to_parquet(tmp_path / f"{part}.parquet")
        for name in ("plain", "jpeg_2"):
            np.save(tmp_path / f"{name}_{part}.npy", rng.normal(size=(12, 144, 5)).astype(np.float16))
    table = pd.DataFrame({"image_id": ids, "Edema": np.arange(count) % 2.0, "Fracture": np.arange(count) // 2 % 2.0})
    table.loc[30, "Edema"] = np.nan
    files = {
        name: {s: tmp_path / f"{name}_{s}.npy" for s in ("train", "validate", "test")} for name in ("plain", "jpeg_2")
    }
    images = {part: tmp_path / f"{part}.parquet" for part in ("train", "validate", "test")}
    return Samples(table), GraphFiles(tmp_path / "g.npz", files["plain"], images, {"jpeg_2": files["jpeg_2"]})


def test_predictions_have_every_variant_and_known_label_once_and_come_out_the_same_again(
    cohort: tuple[Samples, GraphFiles], tmp_path: Path
) -> None:
    for name in ("first", "again"):
        train_gnn(*cohort, tmp_path / f"{name}.parquet", QUICK, "ignore", 0, 1, tmp_path / "states", [])
    assert (tmp_path / "first.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()
    table = pd.read_parquet(tmp_path / "first.parquet")
    key = ["target", "input", "selector", "text", "kept_percent", "labels"]
    assert not table.duplicated([*key, "image_id"]).any()
    found = variants(Graphs.load(cohort[1].graphs), QUICK.inputs, ["jpeg_2"], True)
    assert len(table.drop_duplicates(key)) == 2 * len(found)
    assert set(table["selector"]) == {"attention", "all", "none", "jpeg_2"}
    assert set(table["image_id"]) == {f"i{number}" for number in range(24, 36)}
    edema = table[table["target"] == "Edema"].groupby(key[1:])
    assert (edema.size() == 11).all()
    true = table[table["labels"] == "true"].drop_duplicates(["image_id", "target"]).set_index(["image_id", "target"])
    assert true.loc[("i25", "Edema"), "y"] == 1
    assert ("i30", "Edema") not in true.index
    control = table[table["labels"] == "permuted"]
    assert set(control["input"]) == {"text", "fused"}
    moved = control.join(true["y"], ["image_id", "target"], rsuffix="_true")
    assert (moved["y"] != moved["y_true"]).any()


def test_an_interrupted_job_goes_on_where_it_was_and_ends_the_same(
    cohort: tuple[Samples, GraphFiles],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def run(name: str) -> bytes:
        train_gnn(*cohort, tmp_path / name, QUICK, "ignore", 0, 1, tmp_path / "states", [])
        return (tmp_path / name).read_bytes()

    expected, calls = run("whole.parquet"), iter(range(1000))

    def dying(*given: Tensor) -> Tensor:
        if next(calls) == 66:  # 3 epochs of 3 batches and a validation each: the sixth variant is in its second epoch
            raise KeyboardInterrupt
        return known_cross_entropy(*given)

    monkeypatch.setattr("cxrflow.neural.gnn_training.known_cross_entropy", dying)
    with pytest.raises(KeyboardInterrupt):
        run("cut.parquet")
    kept = sorted(file.name for file in (tmp_path / "states").iterdir())
    monkeypatch.undo()
    with caplog.at_level("INFO"):
        assert run("cut.parquet") == expected
    assert len(kept) == 6
    assert caplog.text.count("Going on after epoch") == len(kept)
    assert not (tmp_path / "states").exists()


def test_features_of_another_run_are_refused(cohort: tuple[Samples, GraphFiles], tmp_path: Path) -> None:
    np.save(tmp_path / "jpeg_2_test.npy", np.zeros((11, 144, 5), np.float16))
    with pytest.raises(UserError, match=r"jpeg_2_test\.npy holds features"):
        train_gnn(*cohort, tmp_path / "out.parquet", QUICK, "ignore", 0, 1, tmp_path / "states", [])
    assert not (tmp_path / "out.parquet").exists()
