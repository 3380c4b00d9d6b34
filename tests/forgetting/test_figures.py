"""What is drawn is what the tables say: every value, every mark, and a caption of whom and how surely."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from tests.forgetting.made_up import made_up_truth, made_up_way, training_labels

from cxrflow.forgetting.figures import (
    GROUPS,
    Words,
    curves_caption,
    draw_curves,
    draw_mean,
    draw_weights,
    highlighted,
    overall_caption,
    plot_curves,
    plot_overall,
)
from cxrflow.forgetting.relation_figures import (
    coefficients,
    correlations_caption,
    draw_frequency,
    draw_pairs,
    pairs_caption,
    placed,
    plot_correlations,
    plot_dissimilarity,
    plot_legacy,
    telling,
)
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.forgetting.table_rows import MEAN
from cxrflow.forgetting.tables import ForgettingTables, forgetting_tables

CLASSES = ("No Finding", "Effusion", "Nodule", "Mass", "Hernia", "Never Seen")
PREVALENCES = np.array([0.5, 0.2, 0.1, 0.06, 0.03, 0.01])
WORDS = Words("weights removed", {"l1": "smallest weights"})


@pytest.fixture(scope="module")
def tables() -> ForgettingTables:
    losses = np.array([0, 0.5, 1])[:, None] * np.array([0.1, 0.3, 0.4, 0.6, 0.8, np.nan])
    values = 0.6 * (1 - losses)[None] * np.linspace(1, 0.95, 3)[:, None, None]
    way = made_up_way(values, 100, 0.005, CLASSES)
    truth = made_up_truth(600, CLASSES, PREVALENCES)
    truth.labels[:, 5] = 0
    settings = ForgettingSettings(resamples=100, permutations=200, head=200, medium=50)
    training = training_labels(900, PREVALENCES)
    return forgetting_tables({"l1": way, "random": way}, truth, training, settings, "demo", True)


def first(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["method"] == "l1"]


def points_of(axis: object) -> np.ndarray:
    return np.vstack([group.get_offsets() for group in axis.collections if len(group.get_offsets()) > 0])  # type: ignore[attr-defined]


@pytest.mark.parametrize("metric", ["auprc", "auroc"])
def test_lines_of_the_mean_and_the_first_level_that_differs(tables: ForgettingTables, metric: str) -> None:
    axis = Figure().add_subplot()
    draw_mean(axis, tables.metrics, tables.overall, metric, WORDS)
    lines = {str(line.get_label()): line for line in axis.get_lines()}
    rows = first(tables.metrics)[(first(tables.metrics)["class"] == MEAN) & (first(tables.metrics)["metric"] == metric)]
    np.testing.assert_allclose(lines["smallest weights"].get_ydata(), rows["value"])
    assert "random" in lines  # without a name of its own it keeps the table's
    tested = first(tables.overall)
    at = tested.loc[(tested["metric"] == metric) & (tested["test"] == "welch") & tested["first"], "sparsity"]
    marks = [line.get_xdata() for line in axis.get_lines() if line.get_marker() == "v"]
    assert [list(mark) for mark in marks] == [at.tolist()] * 2


def test_the_histogram_has_every_count() -> None:
    weights = pd.DataFrame({"low": [0.0, 0.1, 0.2], "high": [0.1, 0.2, 0.3], "count": [900, 40, 2]})
    both = pd.concat([weights.assign(layer_kind="convolution"), weights.assign(layer_kind="linear", count=[30, 1, 0])])
    axis = Figure().add_subplot()
    draw_weights(axis, both)
    steps = [patch.get_data() for patch in axis.patches if isinstance(patch, StepPatch)]
    assert [step.values.tolist() for step in steps] == [[900, 40, 2], [30, 1, 0.5]]
    np.testing.assert_allclose(steps[0].edges, [0, 0.1, 0.2, 0.3])
    assert axis.get_yscale() == "log"


def test_every_class_has_its_curve_in_the_colour_of_its_group(tables: ForgettingTables) -> None:
    axis = Figure().add_subplot()
    curves = first(tables.curves)[first(tables.curves)["metric"] == "auprc_change"]
    about = first(tables.forgettability)
    draw_curves(axis, curves, about, WORDS)
    drawn = [line for line in axis.get_lines() if len(line.get_xdata()) == 3]
    assert len(drawn) == len(CLASSES)
    for line, (name, rows) in zip(drawn, curves.groupby("class", sort=False), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), rows["value"])
        assert line.get_color() == GROUPS[about.set_index("class")["group"][name]]
    named = {text.get_text().split("\n")[0] for text in axis.texts}
    assert named == {"No Finding", "Hernia"}


def test_extremes_are_named_once_and_not_those_that_few_images_show() -> None:
    table = pd.DataFrame(
        {
            "class": ["a", "b", "c", "d"],
            "train_count": [900, 50, 40, 2],
            "final_change": [-0.1, -0.9, -0.5, -1.0],
            "n_positive": [300, 20, 15, 1],
        }
    )
    assert highlighted(table) == ["a", "c", "b"]
    assert highlighted(table.assign(n_positive=1)) == ["a", "d"]
    assert highlighted(table.assign(final_change=np.nan)) == []


def test_captions_say_patients_seeds_interval_and_who_has_no_curve(tables: ForgettingTables) -> None:
    patients = f"{tables.metrics['n_patients'].iloc[0]} patients"
    said = [
        overall_caption(tables.metrics),
        curves_caption(tables.curves, tables.forgettability),
        correlations_caption(first(tables.forgettability), WORDS),
        pairs_caption(10, first(tables.legacy), WORDS),
    ]
    for text in said:
        assert patients in text
        assert "3 seeds" in text
        assert "95 %" in text
    assert "Never Seen" in said[1]
    assert "Never Seen" in said[2]
    assert "never drops (1)" in said[2]
    assert "1 without positive" in said[3]


def test_first_drops_and_censored_classes_are_where_the_table_has_them(tables: ForgettingTables) -> None:
    classes = first(tables.forgettability)
    found = first(tables.correlations)[first(tables.correlations)["against"] == "log_frequency"]
    axis = Figure().add_subplot()
    draw_frequency(axis, classes, found[found["quantity"] == "first_drop"], "first_drop")
    shown = placed(classes, "first_drop")
    assert len(shown) == 5  # one class has no curve
    points = points_of(axis)
    assert sorted(points[:, 1]) == sorted(shown["train_count"])
    never = shown[shown["never"]]
    assert never["class"].tolist() == ["No Finding"]
    assert never["at"].iloc[0] > 1
    line = axis.get_lines()[0]
    row = found[(found["quantity"] == "first_drop") & (found["metric"] == "pearson")].iloc[0]
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    np.testing.assert_allclose(np.log(y), row["slope"] * x + row["intercept"])
    assert x.max() < 1
    assert not placed(classes, "final_change")["never"].any()


@pytest.mark.parametrize("prefix", ["", "legacy_"])
def test_every_pair_is_drawn_by_the_formula_asked_for(tables: ForgettingTables, prefix: str) -> None:
    pairs, column = first(tables.dissimilarity), f"{prefix}frequency_difference"
    found = first(tables.legacy)
    chosen = found[
        (found["against"] == "frequency_difference") & (found["formula"] == ("legacy" if prefix else "fixed"))
    ]
    axis = Figure().add_subplot()
    draw_pairs(axis, pairs, chosen, column)
    points = axis.collections[0].get_offsets()
    np.testing.assert_allclose(points, pairs[[column, "value"]])
    assert axis.get_title(loc="left") == coefficients(chosen)


def test_the_coefficients_are_those_of_the_table() -> None:
    rows = pd.DataFrame(
        {"metric": ["pearson", "spearman"], "value": [-0.5, np.nan], "low": [-0.75, np.nan], "high": [0.25, np.nan]}
    ).assign(p=[0.0004, np.nan])
    assert coefficients(rows) == "r = −0.50 [−0.75, 0.25], p < .001\nρ: not defined"
    assert coefficients(rows.assign(p=0.0421)).startswith("r = −0.50 [−0.75, 0.25], p = 0.042")


def test_telling_pairs_are_the_extremes_each_once() -> None:
    pairs = pd.DataFrame(
        {
            "class_a": ["a", "a", "b"],
            "class_b": ["b", "c", "c"],
            "value": [0.1, 0.9, 0.5],
            "iou_root": [0.8, 0.1, 0.2],
            "frequency_difference": [1.0, 2.0, 3.0],
        }
    )
    assert telling(pairs)["value"].tolist() == [0.9, 0.1, 0.5]


def disease_counts() -> pd.DataFrame:
    """Return ratios of disease counts by both formulas."""
    rows = [
        {"group": "diseases", "level": level, "formula": formula, "value": 1.5, "low": 1.0, "high": 2.0}
        for formula in ("fixed", "legacy")
        for level in ("0", "1", "2", "3", "4+")
    ]
    return pd.DataFrame(rows).assign(n_pie=3, n_other=9)


def written(tables: ForgettingTables, folder: Path) -> list[str]:
    """Return the names of the figures that were written."""
    weights = pd.DataFrame({"low": [0.0], "high": [1.0], "count": [3], "layer_kind": "linear"})
    plot_overall(tables.metrics, tables.overall, [folder / "overall.png"], WORDS, weights)
    plot_overall(tables.metrics, tables.overall, [folder / "no_weights.png"], WORDS)
    plot_curves(tables.curves, tables.forgettability, [folder / "curves.png"], WORDS)
    both = [folder / "correlations.png", folder / "correlations.pdf"]
    plot_correlations(tables.forgettability, tables.correlations, both, WORDS)
    plot_dissimilarity(tables.dissimilarity, tables.correlations, [folder / "dissimilarity.png"], WORDS)
    plot_legacy(tables.dissimilarity, tables.legacy, disease_counts(), [folder / "legacy.png"], WORDS)
    return sorted(path.name for path in folder.iterdir())


FIGURES = ["correlations.pdf", "correlations.png", "curves.png", "dissimilarity.png", "legacy.png", "no_weights.png"]
FIGURES.append("overall.png")


def test_all_figures_are_written(tables: ForgettingTables, tmp_path: Path) -> None:
    assert written(tables, tmp_path) == FIGURES


def test_figures_of_classes_without_positives_are_empty_and_written(tmp_path: Path) -> None:
    truth = made_up_truth(100, CLASSES, PREVALENCES)
    truth.labels[:, 1:] = 0
    values = np.full((1, 3, len(CLASSES)), np.nan)
    settings = ForgettingSettings(resamples=100, permutations=100)
    way = made_up_way(values, 100, 0.0, CLASSES)
    tables = forgetting_tables({"l1": way}, truth, training_labels(50, PREVALENCES), settings, "demo", False)
    assert tables.dissimilarity.empty
    assert "legacy_iou_root" in tables.dissimilarity
    assert written(tables, tmp_path) == FIGURES
