"""The whole chain on a made-up cohort: it learns, points, goes on after a kill, and repeats itself bit for bit."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.errors import UserError
from cxrflow.neural.attention import ExportFiles, export_attention
from cxrflow.neural.exports import Exports
from cxrflow.neural.gallery import plot_gallery, typical_examples
from cxrflow.neural.gnn_training import SPLITS, GraphFiles, train_gnn
from cxrflow.neural.graphs import build_graphs
from cxrflow.neural.pruning import rank_patches
from cxrflow.neural.results import Measured, ResultFiles, write_results
from cxrflow.neural.settings import NeuralSettings
from cxrflow.neural.vlm_training import VlmFiles, train_vlm

LABELS = ["Lung Lesion", "Support Devices"]
SETTINGS = NeuralSettings.model_validate(
    {
        "data": {"image_size": 96, "labels": LABELS},
        "vlm": {
            "epochs": 3,
            "encoder": {"widths": [16, 16]},
            "decoder": {"width": 32, "heads": 2, "layers": 2, "vocabulary": 100, "max_text_length": 20},
            "precision": "fp32",
        },
        "pruning": {"percentiles": [2.3, 25, 100]},
        "evaluation": {"resamples": 100},
        "gallery": {"percentiles": [2.3, 25]},
        "gnn": {"targets": LABELS, "epochs": 2, "seeds": [0], "hidden": 16},
    }
)


def vlm_files(folder: Path) -> VlmFiles:
    names = ("model.safetensors", "tokenizer.json", "history.csv", "validation.parquet", "resume/state.pt")
    return VlmFiles(*(folder / name for name in names))


def train(made_up, folder: Path) -> VlmFiles:  # type: ignore[no-untyped-def]
    files = vlm_files(folder)
    train_vlm(made_up.files, files, SETTINGS.data, SETTINGS.vlm, [], threads=1)
    return files


def run_chain(made_up, folder: Path) -> Path:  # type: ignore[no-untyped-def]
    vlm, exported = train(made_up, folder), {}
    for split in SPLITS:
        exported[split] = ExportFiles(
            folder / f"{split}_f.npy", folder / f"{split}_a.npy", folder / f"{split}_i.parquet"
        )
        settings = (SETTINGS.data, SETTINGS.vlm, SETTINGS.attention)
        export_attention(made_up.files, vlm.weights, vlm.tokenizer, split, exported[split], *settings, threads=1)
    attention, images = ([getattr(exported[s], name) for s in SPLITS] for name in ("attention", "images"))
    rank_patches(attention, images, folder / "ranking.npz", folder / "kept.csv", "last", SETTINGS.pruning)
    build_graphs(folder / "ranking.npz", made_up.graphs, folder / "graphs.npz", SETTINGS.graphs, SETTINGS.pruning)
    inputs = GraphFiles(
        folder / "graphs.npz",
        {split: exported[split].features for split in SPLITS},
        {split: exported[split].images for split in SPLITS},
    )
    train_gnn(made_up.files, inputs, folder / "seed_0.parquet", SETTINGS.gnn, "zero", seed=0, threads=1)
    exports = Exports(attention[1:], images[1:])
    outputs = ResultFiles(*(folder / f"{name}.csv" for name in ("metrics", "compression", "pointing", "classifier")))
    measured = Measured(
        [folder / "seed_0.parquet"], folder / "graphs.npz", exported["test"].features, exports, vlm.validation
    )
    write_results(outputs, measured, made_up.files, "last", "made-up", True, SETTINGS.evaluation)
    return folder


@pytest.fixture(scope="module")
def chain(made_up, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    return run_chain(made_up, tmp_path_factory.mktemp("first"))


def test_the_model_learns_and_leaves_no_resume_state(chain: Path) -> None:
    history = pd.read_csv(chain / "history.csv")
    assert len(history) == 3
    assert history["validation_loss"].iloc[-1] < history["validation_loss"].iloc[0]
    assert "seconds" not in history
    assert not vlm_files(chain).resume.exists()
    assert set(pd.read_csv(chain / "classifier.csv")["target"]) == set(LABELS)


def test_exported_attention_sums_to_one_per_layer(chain: Path) -> None:
    attention = np.load(chain / "test_a.npy")
    assert attention.shape == (24, 2, 144)
    assert attention.dtype == np.float32
    np.testing.assert_allclose(attention.sum(axis=2), 1, atol=1e-4)
    assert np.load(chain / "test_f.npy").dtype == np.float16


def test_predictions_are_of_the_test_split_once_per_variant(chain: Path) -> None:
    table = pd.read_parquet(chain / "seed_0.parquet")
    keys = ["image_id", "target", "kept_percent", "input", "selector"]
    assert not table.duplicated(keys).any()
    assert table["image_id"].nunique() == 24
    assert table.groupby(["input", "selector", "kept_percent"]).ngroups == 2 * (2 * 2 + 1) + 1
    assert table["probability"].between(0, 1).all()


def test_result_tables_have_the_columns_that_others_read(chain: Path) -> None:
    common = {"cohort", "simulated", "n_patients", "metric", "value", "low", "high"}
    wanted = {
        "metrics": {"target", "input", "text", "selector", "kept_percent", "n_seeds"},
        "compression": {"kept_percent", "quantity"},
        "pointing": {"finding", "selector", "chance"},
    }
    for name, columns in wanted.items():
        table = pd.read_csv(chain / f"{name}.csv")
        assert set(table.columns) >= common | columns
        pd.testing.assert_frame_equal(table, pd.read_parquet(chain / f"{name}.parquet"), check_dtype=False)
    metrics = pd.read_csv(chain / "metrics.csv")
    assert metrics.loc[(metrics["input"] == "image") & (metrics["selector"] == "all"), "kept_percent"].eq(100).all()


def test_a_second_run_is_bit_identical(chain: Path, made_up, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    again = run_chain(made_up, tmp_path)
    for name in ("history", "classifier", "metrics", "compression", "pointing"):
        assert (again / f"{name}.csv").read_bytes() == (chain / f"{name}.csv").read_bytes()
    assert (again / "model.safetensors").read_bytes() == (chain / "model.safetensors").read_bytes()


def test_a_killed_training_goes_on_to_the_same_weights(
    chain: Path,
    made_up,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    import cxrflow.training

    record, calls = cxrflow.training._save, []

    def dying(*arguments: object) -> None:
        record(*arguments)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("cxrflow.training._save", dying)
        with pytest.raises(KeyboardInterrupt):
            train(made_up, tmp_path)
    assert vlm_files(tmp_path).resume.exists()
    files = train(made_up, tmp_path)
    assert files.weights.read_bytes() == (chain / "model.safetensors").read_bytes()
    assert files.history.read_bytes() == (chain / "history.csv").read_bytes()


def test_features_of_another_run_are_refused(chain: Path, made_up, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    swapped = {"train": "train", "validate": "test", "test": "validate"}
    inputs = GraphFiles(
        chain / "graphs.npz",
        {split: chain / f"{other}_f.npy" for split, other in swapped.items()},
        {split: chain / f"{other}_i.parquet" for split, other in swapped.items()},
    )
    with pytest.raises(UserError, match="different images"):
        train_gnn(made_up.files, inputs, tmp_path / "p.parquet", SETTINGS.gnn, "zero", seed=0, threads=1)


def test_the_gallery_shows_each_finding(chain: Path, made_up, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    exports = Exports([chain / "test_a.npy"], [chain / "test_i.parquet"])
    samples, scores = exports.read(made_up.files, "last")
    assert set(typical_examples(samples, scores)) == set(LABELS)
    plot_gallery(samples, scores, made_up.files.store(), (2.3, 25), SETTINGS.pruning, True, tmp_path / "gallery.png")
    assert Image.open(tmp_path / "gallery.png").width > 800
