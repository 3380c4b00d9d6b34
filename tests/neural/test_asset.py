"""The asset: what was kept, where it was, how it touches, what the report said - and enough to train on alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import cxrflow.neural.asset_writing
from cxrflow.cohort.store import ImageStore
from cxrflow.errors import UserError
from cxrflow.metrics import auroc
from cxrflow.neural.asset import Asset, load_asset
from cxrflow.neural.asset_writing import AssetLabel, AssetSources, write_asset, write_npz
from cxrflow.neural.compression import compression_table
from cxrflow.neural.graphs import Graphs, image_hubs
from cxrflow.neural.pruning import random_order
from cxrflow.neural.report_graphs import ReportGraph, ReportGraphs, read_text_graphs
from cxrflow.neural.settings import EvaluationSettings, GraphSettings

COUNT, WIDTH, SIDE = 90, 6, 48  # patches of 4 x 4 pixels
KEPT = {2.3: 4, 25.0: 36, 100.0: 144}
SPLITS = ("train", "validate", "test")
LABEL = AssetLabel("made-up", True, "reference", 2.3)


class Cohort(NamedTuple):
    """A cohort in files and in memory: row i of everything is image i; `labels` are no part of any file."""

    graphs: Graphs
    store: ImageStore
    sources: AssetSources
    pixels: np.ndarray
    features: np.ndarray
    reports: list[ReportGraph]
    labels: np.ndarray

    def write(self, output: Path, **changes: object) -> Path:
        write_asset(self.graphs, self.store, self.sources, LABEL._replace(**changes), output)
        return output


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make(tmp_path_factory.mktemp("asset"))


def make(folder: Path) -> Cohort:
    rng = np.random.default_rng(0)
    ids = np.array([f"i{number:03d}" for number in range(COUNT)])
    split = np.array([SPLITS[number % 5 % 3] for number in range(COUNT)])
    labels = rng.integers(0, 2, COUNT)
    pixels = rng.integers(0, 256, (COUNT, SIDE, SIDE), dtype=np.uint8)
    features = rng.normal(size=(COUNT, 144, WIDTH)).astype(np.float16)
    orders = {"attention_reference": random_order(COUNT, 1), "random": random_order(COUNT, 2)}
    for image in np.flatnonzero(labels):  # the finding shows in the first feature of the patch with most attention
        features[image, orders["attention_reference"][image, 0], 0] += 8
    reports = [report(number) for number in range(COUNT)]
    sources = write_sources(folder, ids, split, features, reports)
    graphs = Graphs(
        image_id=ids,
        patient_id=np.array([f"p{number // 2}" for number in range(COUNT)]),
        split=split,
        percentiles=np.array(list(KEPT)),
        kept=np.array(list(KEPT.values())),
        orders=orders,
        hubs={key: image_hubs(order, list(KEPT.values())) for key, order in orders.items()},
        reports=text_graphs(sources, ids),
    )
    store = ImageStore(pixels[::-1], store_index(ids))
    return Cohort(graphs, store, sources, pixels, features, reports, labels)


def text_graphs(sources: AssetSources, ids: np.ndarray) -> dict[str, ReportGraphs]:
    return read_text_graphs({"reference": sources.report_graphs}, ids.tolist(), GraphSettings(text_width=16))


def store_index(ids: np.ndarray) -> pd.DataFrame:
    """Return an index whose rows run from the last image to the first."""
    return pd.DataFrame(
        {"image_id": ids, "row": np.arange(len(ids))[::-1], "height": 96, "width": 80, "source_bytes": 9}
    )


def report(number: int) -> ReportGraph:
    nodes = (("effusion", "OBS-DA"), ("pleural", "ANAT-DP"), ("Größe", "OBS-U"))[: number % 4]
    return ReportGraph(nodes, ((0, 1),) if len(nodes) > 1 else ())


def write_sources(
    folder: Path, ids: np.ndarray, split: np.ndarray, features: np.ndarray, reports: list[ReportGraph]
) -> AssetSources:
    files, tables = [], []
    for name in ("test", "train", "validate"):  # another order than that of the rows
        rows = np.flatnonzero(split == name)[::-1]
        np.save(folder / f"{name}_features.npy", features[rows])
        pd.DataFrame({"image_id": ids[rows]}).to_parquet(folder / f"{name}_images.parquet")
        files.append(folder / f"{name}_features.npy")
        tables.append(folder / f"{name}_images.parquet")
    lines = [radgraph(name, one) for name, one in zip(ids.tolist(), reports, strict=True)]
    (folder / "reference.jsonl").write_text("\n".join(reversed(lines)) + "\n", encoding="utf-8")
    return AssetSources(folder / "reference.jsonl", files, tables)


def radgraph(name: str, graph: ReportGraph) -> str:
    entities = {
        str(number): {"tokens": tokens, "label": label, "start_ix": number, "end_ix": number, "relations": []}
        for number, (tokens, label) in enumerate(graph.nodes)
    }
    for source, target in graph.edges:
        entities[str(source)]["relations"] = [["modify", str(target)]]
    return json.dumps({"study_id": name, "text": "", "entities": entities})


@pytest.mark.parametrize("share", list(KEPT))
def test_pixels_and_features_are_those_of_the_kept_patches(cohort: Cohort, tmp_path: Path, share: float) -> None:
    asset = load_asset(cohort.write(tmp_path / "asset.npz", kept_percent=share))
    assert asset.patches.shape == (COUNT, KEPT[share])
    assert asset.pixels.shape == (COUNT, KEPT[share], 4, 4)
    assert (asset.features.dtype, asset.pixels.dtype, asset.patches.dtype) == (np.float16, np.uint8, np.uint8)
    for image in range(COUNT):
        for place, patch in enumerate(cohort.graphs.orders["attention_reference"][image, : KEPT[share]].tolist()):
            top, left = 4 * (patch // 12), 4 * (patch % 12)
            np.testing.assert_array_equal(
                asset.pixels[image, place], cohort.pixels[image, top : top + 4, left : left + 4]
            )
            np.testing.assert_array_equal(asset.features[image, place], cohort.features[image, patch])


def test_an_image_is_put_together_from_its_patches(cohort: Cohort, tmp_path: Path) -> None:
    whole = load_asset(cohort.write(tmp_path / "whole.npz", kept_percent=100.0))
    np.testing.assert_array_equal(whole.image(7), cohort.pixels[7])
    few = load_asset(cohort.write(tmp_path / "few.npz"))
    shown = few.image(7)
    kept = np.isin(np.arange(144), few.patches[7]).reshape(12, 12).repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_array_equal(shown, np.where(kept, cohort.pixels[7], 0))


def test_edges_join_every_two_kept_patches_that_touch(cohort: Cohort, tmp_path: Path) -> None:
    asset = load_asset(cohort.write(tmp_path / "asset.npz", kept_percent=25.0))
    for image in range(COUNT):
        rows, columns = np.divmod(asset.patches[image].astype(int), 12)
        distance = np.abs(rows[:, None] - rows) + np.abs(columns[:, None] - columns)
        expected = {frozenset(pair) for pair in np.argwhere(distance == 1).tolist()}
        found = [frozenset(pair) for pair in asset.touching(image).tolist()]
        assert set(found) == expected
        assert len(found) == len(expected)
    np.testing.assert_array_equal(asset.visual_hubs, cohort.graphs.hubs["attention_reference"][:, 1])


def test_reports_keep_their_words_and_relations(cohort: Cohort, tmp_path: Path) -> None:
    asset = load_asset(cohort.write(tmp_path / "asset.npz"))
    assert len(asset.entities) == 3
    for image, expected in enumerate(cohort.reports):
        nodes, edges = asset.report(image)
        assert nodes == list(expected.nodes)
        assert [tuple(edge) for edge in edges.tolist()] == list(expected.edges)
    assert asset.report_hubs[:3].tolist() == [-1, 0, 0]


def test_it_says_what_it_is(cohort: Cohort, tmp_path: Path) -> None:
    asset = load_asset(cohort.write(tmp_path / "asset.npz"))
    assert (asset.cohort, asset.simulated, asset.text, asset.kept_percent) == ("made-up", True, "reference", 2.3)
    assert (asset.grid_side, asset.image_size) == (12, SIDE)
    assert asset.image_id.tolist() == cohort.graphs.image_id.tolist()
    assert asset.patient_id.tolist() == cohort.graphs.patient_id.tolist()
    assert sorted(np.concatenate([asset.rows(split) for split in SPLITS])) == list(range(COUNT))


def test_another_task_is_trained_on_the_file_alone(tmp_path: Path) -> None:
    (tmp_path / "cohort").mkdir()
    made = make(tmp_path / "cohort")
    labels = made.labels
    alone = made.write(tmp_path / "elsewhere" / "asset.npz")
    shutil.rmtree(tmp_path / "cohort")
    del made
    asset = load_asset(alone)
    train, test = asset.rows("train"), asset.rows("test")
    probe = LogisticRegression(max_iter=1000).fit(asset.pooled()[train], labels[train])
    scores = probe.decision_function(asset.pooled()[test])
    assert auroc(labels[test], scores)[0] > 0.85
    shuffled = np.random.default_rng(0).permuted(np.tile(labels[test], (200, 1)), axis=1)
    assert auroc(labels[test], scores)[0] > np.percentile([auroc(one, scores)[0] for one in shuffled], 97.5)


def test_parts_of_any_length_give_the_same_file(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cohort.write(tmp_path / "whole.npz").read_bytes()
    monkeypatch.setattr(cxrflow.neural.asset_writing, "CHUNK", 7)
    assert cohort.write(tmp_path / "parts.npz").read_bytes() == whole


def test_numpy_reads_it_without_pickles_and_large_arrays_stay_in_the_file(cohort: Cohort, tmp_path: Path) -> None:
    path = cohort.write(tmp_path / "asset.npz", kept_percent=100.0)
    asset = load_asset(path)
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            if name != "version":
                np.testing.assert_array_equal(file[name], getattr(asset, name))
    assert isinstance(asset.features, np.memmap)
    assert isinstance(asset.pixels, np.memmap)


def test_its_record_is_as_long_as_the_table_says(cohort: Cohort, tmp_path: Path) -> None:
    asset = load_asset(cohort.write(tmp_path / "asset.npz", kept_percent=25.0))
    graphs = replace(cohort.graphs, split=np.full(COUNT, "test"))
    quick = EvaluationSettings(resamples=100)
    table = compression_table(graphs, cohort.sources.features[0], cohort.store, {}, "c", True, quick)
    row = table[(table["quantity"] == "asset_bytes") & (table["kept_percent"] == 25)]
    names = (
        "patches",
        "pixels",
        "features",
        "visual_edges",
        "visual_hubs",
        "report_nodes",
        "report_edges",
        "report_hubs",
    )
    assert row["value"].item() * COUNT == pytest.approx(sum(getattr(asset, name).nbytes for name in names))


def rewritten(path: Path, target: Path, **changes: np.ndarray | None) -> Path:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files} | changes
    np.savez(target, **{name: array for name, array in arrays.items() if array is not None})
    return target


@pytest.mark.parametrize(("version", "says"), [(np.array(2), "version 2"), (None, "no version")])
def test_other_versions_are_refused(cohort: Cohort, tmp_path: Path, version: np.ndarray | None, says: str) -> None:
    other = rewritten(cohort.write(tmp_path / "asset.npz"), tmp_path / "other.npz", version=version)
    with pytest.raises(UserError, match=f"{says}.*\n*Hint: Make it again"):
        load_asset(other)


def test_broken_files_and_objects_are_refused(cohort: Cohort, tmp_path: Path) -> None:
    path = cohort.write(tmp_path / "asset.npz")
    (tmp_path / "short.npz").write_bytes(path.read_bytes()[:-500])
    np.save(tmp_path / "array.npy", np.zeros(3))
    rewritten(path, tmp_path / "less.npz", features=None)
    rewritten(path, tmp_path / "objects.npz", features=np.array([{}], dtype=object))
    for name in ("short.npz", "array.npy", "less.npz", "objects.npz"):
        with pytest.raises(UserError, match="no whole asset"):
            load_asset(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"text": "generated"}, "text setting 'generated'"), ({"kept_percent": 50.0}, r"keep \[2.3, 25.0, 100.0\]")],
)
def test_what_the_graphs_do_not_have_is_an_error(
    cohort: Cohort, tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        cohort.write(tmp_path / "asset.npz", **changes)


def test_files_of_another_run_are_refused_and_the_old_asset_stays(cohort: Cohort, tmp_path: Path) -> None:
    path = cohort.write(tmp_path / "asset.npz")
    before, sources = path.read_bytes(), cohort.sources
    (tmp_path / "other.jsonl").write_text(radgraph("i000", report(1)) + "\n", encoding="utf-8")
    others = [
        replace(sources, report_graphs=tmp_path / "other.jsonl"),
        replace(sources, features=sources.features[::-1]),
        replace(sources, features=sources.features[1:], images=sources.images[1:]),
    ]
    for other in others:
        with pytest.raises(UserError, match="of different"):
            cohort._replace(sources=other).write(path)
    with pytest.raises(RuntimeError, match="half-way"):
        write_npz(path, {"a": np.zeros(3), "b": broken()})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def broken() -> cxrflow.neural.asset_writing.Streamed:
    def parts():  # type: ignore[no-untyped-def]
        yield np.zeros(2)
        raise RuntimeError("half-way")

    return cxrflow.neural.asset_writing.Streamed((4,), np.float64, parts())


def test_a_cohort_without_any_entity_has_an_asset(tmp_path: Path) -> None:
    made = make(tmp_path)
    ids = made.graphs.image_id
    nothing = [ReportGraph((), ())] * COUNT
    sources = write_sources(tmp_path, ids, made.graphs.split, made.features, nothing)
    graphs = replace(made.graphs, reports=text_graphs(sources, ids))
    asset: Asset = load_asset(made._replace(graphs=graphs, sources=sources).write(tmp_path / "asset.npz"))
    assert asset.entities.shape == (0,)
    assert asset.report(0)[0] == []
