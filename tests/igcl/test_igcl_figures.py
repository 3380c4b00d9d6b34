"""Figures and the gallery show what they say, of whom, and how surely; operating points are read as published."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from sklearn.metrics import auc, roc_auc_score
from tests.igcl.conftest import Cohort

from cxrflow.errors import UserError
from cxrflow.files import write_arrays
from cxrflow.igcl.figures import draw_label, fractions_caption, plot_label_fractions
from cxrflow.igcl.gallery import nearest_graphs, show_gallery
from cxrflow.igcl.operating_points import read_operating_points
from cxrflow.igcl.retrieval_measures import Embeddings
from cxrflow.igcl.roc_figure import GRID, mean_curve, plot_roc, roc_caption, roc_points, shown_rows
from cxrflow.igcl.transfer_settings import EvaluationSettings
from cxrflow.label_measures import AUROC
from cxrflow.measured import MEAN
from cxrflow.plotting import error_bars

COMMON = {"cohort": "c", "simulated": True, "n_patients": 12, "n_seeds": 2, "metric": AUROC}
LEVELS = [(0.01, np.nan), (1.0, np.nan), (np.nan, 5.0)]


@pytest.fixture
def metrics() -> pd.DataFrame:
    rows = [
        {**COMMON, "initialisation": name, "mode": mode, "fraction": fraction, "shots": shots, "label": label}
        for name in ("igcl", "scratch")
        for mode in ("linear", "finetuning")
        for fraction, shots in LEVELS
        for label in ("Edema", "Effusion", MEAN)
    ]
    values = np.random.default_rng(0).uniform(0.5, 0.9, len(rows))
    return pd.DataFrame(rows).assign(value=values, low=values - 0.1, high=values + 0.05)


@pytest.fixture
def predictions() -> dict[str, pd.DataFrame]:
    rng, found = np.random.default_rng(1), {}
    for name in ("igcl", "scratch"):
        rows = []
        for fraction, shots in LEVELS:
            about: dict[str, Any] = {"mode": "linear", "fraction": fraction, "shots": shots, "seed": 0, "split": "test"}
            scores = pd.DataFrame(rng.normal(size=(20, 2)), columns=["Edema", "Effusion"])
            rows.append(scores.assign(image_id=[f"i{number}" for number in range(20)], **about))
        found[name] = pd.concat(rows, ignore_index=True)
    return found


def test_every_label_and_their_mean_are_drawn_with_intervals(metrics: pd.DataFrame, tmp_path: Path) -> None:
    plot_label_fractions(metrics, True, [tmp_path / "f.png", tmp_path / "f.pdf"])
    assert (tmp_path / "f.png").stat().st_size > 10_000
    axis = Figure().subplots()
    rows = metrics[(metrics["label"] == "Edema") & (metrics["initialisation"] == "igcl")]
    draw_label(axis, rows, {"igcl": "black"})
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axis.get_lines()])
    assert set(np.round(rows["value"], 6)) <= set(np.round(drawn, 6))
    assert error_bars(rows)[0] == pytest.approx(0.1)


def test_tables_without_few_shot_rows_are_drawn_too(metrics: pd.DataFrame, tmp_path: Path) -> None:
    rows = metrics[metrics["shots"].isna()].assign(shots=None)
    plot_label_fractions(rows, True, [tmp_path / "f.png"])
    assert (tmp_path / "f.png").stat().st_size > 10_000


def test_captions_tell_patients_seeds_intervals_and_what_has_seen_labels(metrics: pd.DataFrame) -> None:
    said = fractions_caption(metrics, uses_backbone=True)
    assert all(word in said for word in ("12 patients", "2 seeds", "95 %", "backbone"))
    assert "backbone" not in fractions_caption(metrics, uses_backbone=False)
    shown = shown_rows(metrics, 0.01)
    assert "1 % of the patients" in roc_caption(shown, {})
    assert "radiologists" in roc_caption(shown, {"Edema": np.zeros((1, 2))})


def test_the_wanted_share_is_shown_or_the_largest(metrics: pd.DataFrame) -> None:
    assert set(shown_rows(metrics, 0.01)["fraction"]) == {0.01}
    assert set(shown_rows(metrics, 0.5)["fraction"]) == {1.0}
    assert set(shown_rows(metrics, 0.5)["mode"]) == {"linear"}
    assert set(shown_rows(metrics[metrics["shots"].notna()], 0.5)["shots"]) == {5.0}


@given(st.integers(0, 10_000), st.integers(4, 60))
@settings(max_examples=50, deadline=None)
def test_the_area_below_a_curve_is_the_auroc(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    outcome, score = rng.permutation(np.r_[0, 1, rng.integers(0, 2, count - 2)]), rng.integers(0, 6, count) / 5
    assert auc(*roc_points(outcome, score)) == pytest.approx(roc_auc_score(outcome, score))
    curve = mean_curve(outcome, [score, score])
    assert (np.diff(curve) >= -1e-12).all()
    assert len(curve) == len(GRID)


def test_roc_curves_are_drawn_with_radiologists(
    metrics: pd.DataFrame, predictions: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    truth = pd.DataFrame({"Edema": [0.0, 1.0] * 10, "Effusion": [np.nan, 0.0, 1.0, 1.0] * 5})
    truth.index = pd.Index([f"i{number}" for number in range(20)], name="image_id")
    plot_roc(predictions, truth, metrics, {"Edema": np.array([[0.2, 0.8]])}, 1.0, [tmp_path / "r.png"])
    assert (tmp_path / "r.png").stat().st_size > 10_000


def test_operating_points_are_read_as_published(tmp_path: Path) -> None:
    rows = "Atelectasis,Edema\n.2133,.1\n.1758,.2\n.3141,.3\n.8039,.7\n.7124,.8\n.9216,.9\n"
    (tmp_path / "r.csv").write_text(rows)
    points = read_operating_points(tmp_path / "r.csv", ["Edema", "Atelectasis", "Cardiomegaly"])
    assert points["Atelectasis"].tolist() == [[0.2133, 0.8039], [0.1758, 0.7124], [0.3141, 0.9216]]
    assert set(points) == {"Edema", "Atelectasis"}


@pytest.mark.parametrize("content", ["", "Edema\n0.1\n", "Edema\n0.1\n1.4\n", "Other\n0.1\n0.2\n", "Edema\nx\n0.2\n"])
def test_operating_points_of_another_shape_are_an_error_with_a_hint(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.csv").write_text(content)
    with pytest.raises(UserError, match="Hint"):
        read_operating_points(tmp_path / "r.csv", ["Edema"])


@pytest.fixture
def embeddings(cohort: Cohort, tmp_path: Path) -> Path:
    """Return vectors with which each test radiograph finds its own graph first."""
    samples = cohort.files.samples([], "zero")
    test = samples[samples["split"] == "test"]
    studies = np.unique(test["study_id"], return_inverse=True)[1]
    vectors = np.eye(len(test), dtype=np.float32)[studies]
    ids = test["image_id"].to_numpy(dtype=np.str_)
    write_arrays(tmp_path / "e.npz", [("image_ids", ids), ("images", vectors), ("graphs", vectors)])
    return tmp_path / "e.npz"


def test_the_gallery_shows_graphs_and_names_nobody(cohort: Cohort, embeddings: Path, tmp_path: Path) -> None:
    choice = EvaluationSettings(gallery=4, nearest=2)
    show_gallery(tmp_path / "g.html", embeddings, cohort.report_graphs, cohort.files, True, choice)
    page = (tmp_path / "g.html").read_text()
    samples = cohort.files.samples([], "zero")
    assert page.count("<img") == 4
    assert "Simulated radiographs." in page
    assert "<script" not in page
    for column in ("image_id", "patient_id"):
        assert not [name for name in samples[column] if f"{name}<" in page or f'"{name}"' in page]


def test_a_radiograph_with_its_graph_s_vector_finds_it_first(cohort: Cohort, embeddings: Path) -> None:
    found = Embeddings.read(embeddings, cohort.files)
    shown, texts = nearest_graphs(found, EvaluationSettings(gallery=5, nearest=3))
    assert texts == 10
    assert all(one.rank == 1 and one.graphs[0][2] and not one.graphs[1][2] for one in shown)
    assert all(one.graphs[0][1] == pytest.approx(1) for one in shown)
