"""The whole chain on a made-up cohort: it learns, points, goes on after a kill, and repeats itself bit for bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.errors import UserError
from cxrflow.neural.asset import load_asset
from cxrflow.neural.asset_writing import AssetLabel, AssetSources, write_asset
from cxrflow.neural.attention import ExportFiles, export_attention
from cxrflow.neural.codec_export import CodecFiles, export_codec
from cxrflow.neural.exports import Exports
from cxrflow.neural.gallery import Looks, plot_gallery
from cxrflow.neural.generation import generate_reports
from cxrflow.neural.gnn_training import SPLITS, GraphFiles, train_gnn
from cxrflow.neural.graphs import Graphs, build_graphs
from cxrflow.neural.pruning import AttentionFiles, rank_patches
from cxrflow.neural.report_quality import ReportFiles
from cxrflow.neural.results import Measured, ResultFiles, write_results
from cxrflow.neural.settings import NeuralSettings, codec_names
from cxrflow.neural.texts import ReadFiles, TextFiles, write_texts
from cxrflow.neural.vlm_training import VlmFiles, train_vlm
from cxrflow.reports.extract import write_extraction
from cxrflow.reports.settings import ExtractSettings

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
        "codecs": {"jpeg_qualities": [10], "sides": [16]},
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


TEXTS = list(SETTINGS.texts.settings)
TABLES = ("metrics", "differences", "compression", "pointing", "classifier", "report_quality")


def text_files(folder: Path) -> dict[str, TextFiles]:
    return {text: TextFiles(folder / f"{text}.parquet", folder / f"{text}.jsonl") for text in TEXTS}


def exports_of(folder: Path) -> dict[str, ExportFiles]:
    parts = ("features.npy", "norms.npy", "attention.npz", "images.parquet")
    return {split: ExportFiles(*(folder / f"{split}_{part}" for part in parts)) for split in SPLITS}


def codec_files(folder: Path) -> dict[str, dict[str, CodecFiles]]:
    return {
        codec: {
            split: CodecFiles(folder / f"{codec}_{split}.npy", folder / f"{codec}_{split}_b.npy") for split in SPLITS
        }
        for codec in codec_names(SETTINGS.codecs)
    }


def write_reports(made_up, folder: Path, vlm: VlmFiles) -> None:  # type: ignore[no-untyped-def]
    """Let the model write reports, read them, and prepare all text settings."""
    written = [folder / f"generated_{split}.parquet" for split in SPLITS]
    for split, file in zip(SPLITS, written, strict=True):
        read = (made_up.files, vlm.weights, vlm.tokenizer, split, file)
        generate_reports(*read, SETTINGS.data, SETTINGS.vlm, SETTINGS.texts, threads=1)
    generated = ReadFiles(folder / "generated_graphs.jsonl", folder / "generated_findings.parquet")
    texts = pd.concat([pd.read_parquet(file) for file in written])[["study_id", "text"]]
    write_extraction(texts, generated.findings, generated.graphs, ExtractSettings())
    reference = ReadFiles(made_up.graphs, made_up.findings)
    write_texts(made_up.files.samples([], "zero"), text_files(folder), reference, LABELS, written, generated)


def run_chain(made_up, folder: Path) -> Path:  # type: ignore[no-untyped-def]
    vlm, exported, codecs = train(made_up, folder), exports_of(folder), codec_files(folder)
    write_reports(made_up, folder, vlm)
    for split in SPLITS:
        read = (made_up.files, vlm.weights, vlm.tokenizer, text_files(folder), split, exported[split])
        export_attention(*read, SETTINGS.data, SETTINGS.vlm, SETTINGS.attention, threads=1)
        for codec, files in codecs.items():
            place = (made_up.files, vlm.weights, split, codec, files[split])
            export_codec(*place, SETTINGS.data, SETTINGS.vlm, batch_size=32, threads=1)
    every = [[getattr(exported[split], name) for split in SPLITS] for name in ("attention", "norms", "images")]
    ranking, graphs = folder / "ranking.npz", folder / "graphs.npz"
    rank_patches(AttentionFiles(*every), ranking, folder / "kept.csv", "last", SETTINGS.pruning, SETTINGS.texts)
    report_graphs = {text: files.graphs for text, files in text_files(folder).items()}
    build_graphs(ranking, report_graphs, graphs, SETTINGS.graphs, SETTINGS.pruning)
    more = {"seed": 0, "threads": 1, "states": folder / "states", "code": []}
    train_gnn(made_up.files, graph_files(folder), folder / "seed_0.parquet", SETTINGS.gnn, "zero", **more)
    findings = {"generated": folder / "generated_findings.parquet", "reference": made_up.findings}
    compared = [
        ReportFiles(folder / f"{writer}.parquet", folder / f"{writer}.jsonl", file) for writer, file in findings.items()
    ]
    measured = Measured(
        [folder / "seed_0.parquet"],
        graphs,
        exported["test"].features,
        {codec: files["test"].sizes for codec, files in codecs.items()},
        vlm.validation,
        Exports(every[0][1:], every[2][1:]),
        "last",
        TEXTS,
        *compared,
    )
    outputs = ResultFiles(*(folder / f"{name}.csv" for name in TABLES))
    write_results(outputs, measured, made_up.files, "made-up", True, SETTINGS.evaluation)
    return folder


def graph_files(folder: Path) -> GraphFiles:
    exported, codecs = exports_of(folder), codec_files(folder)
    return GraphFiles(
        folder / "graphs.npz",
        {split: exported[split].features for split in SPLITS},
        {split: exported[split].images for split in SPLITS},
        {codec: {split: files[split].features for split in SPLITS} for codec, files in codecs.items()},
    )


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
    with np.load(chain / "test_attention.npz") as by_text:
        assert sorted(by_text.files) == sorted(TEXTS)
        for text in TEXTS:
            assert by_text[text].shape == (24, 2, 144)
            assert by_text[text].dtype == np.float32
            np.testing.assert_allclose(by_text[text].sum(axis=2), 1, atol=1e-4)
    assert np.load(chain / "test_features.npy").dtype == np.float16


def test_predictions_are_of_the_test_split_once_per_variant(chain: Path) -> None:
    table = pd.read_parquet(chain / "seed_0.parquet")
    variant = ["input", "selector", "text", "kept_percent", "labels"]
    assert not table.duplicated(["image_id", "target", *variant]).any()
    assert table["image_id"].nunique() == 24
    # Two pruned shares, three blind selectors, three texts, two codecs.
    images, texts, fused, controls = 3 * 2 + 1 + 2 + 3 * 2, 3, 3 * (2 + 1), 3 * 2
    assert table.groupby(variant).ngroups == images + texts + fused + controls
    assert table["probability"].between(0, 1).all()


def test_result_tables_have_the_columns_that_others_read(chain: Path) -> None:
    common = {"cohort", "simulated", "n_patients", "metric", "value", "low", "high"}
    wanted = {
        "metrics": {"target", "input", "text", "selector", "kept_percent", "labels", "n_seeds"},
        "differences": {"target", "input", "text", "selector", "kept_percent", "against", "p", "p_holm", "n_seeds"},
        "compression": {"kept_percent", "quantity", "encoding"},
        "pointing": {"finding", "selector", "text", "chance"},
        "report_quality": {"writer"},
    }
    for name, columns in wanted.items():
        table = pd.read_csv(chain / f"{name}.csv")
        assert set(table.columns) >= common | columns
        pd.testing.assert_frame_equal(table, pd.read_parquet(chain / f"{name}.parquet"), check_dtype=False)
    metrics = pd.read_csv(chain / "metrics.csv")
    assert metrics.loc[(metrics["input"] == "image") & (metrics["selector"] == "all"), "kept_percent"].eq(100).all()


def test_a_second_run_is_bit_identical(chain: Path, made_up, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    again = run_chain(made_up, tmp_path)
    for name in ("history", *TABLES):
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
    inputs, swapped = graph_files(chain), {"train": "train", "validate": "test", "test": "validate"}
    inputs = replace(
        inputs,
        features={split: inputs.features[other] for split, other in swapped.items()},
        images={split: inputs.images[other] for split, other in swapped.items()},
    )
    with pytest.raises(UserError, match="different images"):
        train_gnn(made_up.files, inputs, tmp_path / "p.parquet", SETTINGS.gnn, "zero", 0, 1, tmp_path / "states", [])


def test_the_gallery_shows_each_finding(chain: Path, made_up, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    exported = exports_of(chain)["test"]
    exports = Exports([exported.attention], [exported.images])
    looks = Looks.read(exports, made_up.files, "last", TEXTS, chain / "generated.parquet")
    plot_gallery(looks, made_up.files.store(), (2.3, 25), SETTINGS.pruning, True, tmp_path / "gallery.png")
    assert Image.open(tmp_path / "gallery.png").width > 800


def test_the_asset_holds_what_the_classifier_reads(chain: Path, made_up, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    exported, graphs = exports_of(chain), Graphs.load(chain / "graphs.npz")
    sources = AssetSources(
        chain / "masked.jsonl", [one.features for one in exported.values()], [one.images for one in exported.values()]
    )
    label = AssetLabel("made-up", True, "masked", 2.3)
    write_asset(graphs, made_up.files.store(), sources, label, tmp_path / "kept.npz")
    asset = load_asset(tmp_path / "kept.npz")
    assert set(asset.image_id) == set(graphs.image_id)
    order = graphs.orders["attention_masked"][:, :4]
    assert np.array_equal(np.sort(asset.patches, axis=1), np.sort(order, axis=1))
