"""Training curves and the ablation show what they say they show, of whom, and how surely."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from tests.patchib.made_up_results import (
    DISTRIBUTION,
    EFFICIENCY,
    made_up_differences,
    made_up_metrics,
)

from cxrflow.patchib import classification_measures, embedding, retrieval_measures
from cxrflow.patchib.figures import (
    EMBEDDINGS,
    PANELS,
    ablation_caption,
    draw_costs,
    draw_history,
    draw_measure,
    draw_rates,
    plot_ablation,
    plot_training,
    read_histories,
    training_caption,
)
from cxrflow.plotting import seeds_note


def write_history(file: Path, heads: int, all_weights: int, loss: float) -> Path:
    phases = ["heads"] * heads + ["all"] * all_weights
    epochs = [float(epoch) for count in (heads, all_weights) for epoch in range(count)]
    rates = [1e-3] * heads + [1e-4] * all_weights
    table = pd.DataFrame({"epoch": epochs, "phase": phases, "loss": loss, "recall": 0.5, "auc": 0.6})
    table.assign(learning_rate=rates).to_csv(file, index=False)
    return file


@pytest.fixture
def histories(tmp_path: Path) -> pd.DataFrame:
    """Return those of a frozen model, and of one with two seeds of which the second stopped early."""
    trained = [("0", 0), ("E", 0), ("E", 1)]
    shapes = [(0, 3, 4.0), (2, 3, 3.0), (2, 2, 1.0)]
    files = [write_history(tmp_path / f"{place}.csv", *shape) for place, shape in enumerate(shapes)]
    return read_histories(files, trained)


def test_epochs_are_counted_from_where_all_weights_learn(histories: pd.DataFrame) -> None:
    frozen, whole = (histories[histories["model"] == model] for model in "0E")
    assert frozen["at"].tolist() == [1, 2, 3]
    assert whole.loc[whole["seed"] == 0, "at"].tolist() == [-1, 0, 1, 2, 3]


def test_the_thick_line_is_the_mean_of_the_seeds_that_trained_that_long(histories: pd.DataFrame) -> None:
    axis = Figure().add_subplot()
    draw_history(axis, histories, "loss")
    thick = {line.get_label(): list(line.get_ydata()) for line in axis.get_lines() if line.get_linewidth() > 1}
    assert thick == {"model 0": [4, 4, 4], "model E": [2, 2, 2, 2, 3]}
    thin = [list(line.get_ydata()) for line in axis.get_lines() if line.get_linewidth() < 1]
    assert thin == [[3] * 5, [1] * 4], "a model with one seed needs no second line"


def test_learning_rates_stand_in_the_middle_of_their_epoch(histories: pd.DataFrame) -> None:
    axis = Figure().add_subplot()
    draw_rates(axis, histories)
    drawn = {tuple(line.get_xdata()): set(line.get_ydata()) for line in axis.get_lines()}
    assert drawn == {(0.5, 1.5, 2.5): {1e-4}, (-1.5, -0.5): {1e-3}}


def test_the_training_figure_says_on_whom_and_of_how_many_seeds(histories: pd.DataFrame, tmp_path: Path) -> None:
    said = training_caption(histories, DISTRIBUTION)
    assert "11 radiographs of 9 patients" in said
    assert "mean of 1 to 2 seeds" in said
    assert "frozen" in said
    assert "frozen" not in training_caption(histories[histories["model"] == "0"], DISTRIBUTION)
    plot_training(histories, DISTRIBUTION, True, [tmp_path / "training.png", tmp_path / "training.pdf"])
    assert Image.open(tmp_path / "training.png").width > 1000
    assert (tmp_path / "training.pdf").stat().st_size > 1000


def test_the_number_of_seeds_is_told_as_it_is() -> None:
    assert [seeds_note(counts) for counts in ([1], [3, 3], [1, 2])] == [
        "mean of 1 seed",
        "mean of 3 seeds",
        "mean of 1 to 2 seeds",
    ]


def test_the_figures_know_the_names_that_tables_use() -> None:
    assert list(EMBEDDINGS) == list(embedding.EMBEDDINGS)
    tasks = [retrieval_measures.I2T, retrieval_measures.T2I]
    tasks += [classification_measures.ZERO_SHOT, classification_measures.PROBE]
    assert [task for task, _, _ in PANELS] == tasks


def test_each_embedding_has_a_mark_of_its_own_and_stars_stand_at_what_differs() -> None:
    rows = made_up_metrics()
    rows = rows[rows["metric"] == "recall@10"].drop_duplicates(["model", "embedding"])
    axis = Figure().add_subplot()
    draw_measure(axis, rows, made_up_differences(rows), ["A", "C"])
    points = {
        (line.get_marker(), float(x)): round(float(y), 3)
        for line in axis.get_lines()
        if line.get_marker() in "osD"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    value = rows.set_index(["model", "embedding"])["value"]
    assert points == {
        ("o", value["A", "own"]): 0,
        ("o", value["C", "own"]): 0.8,
        ("s", value["C", "full"]): 1,
        ("D", value["C", "kept tokens"]): 1.2,
    }
    assert [text.xy for text in axis.texts] == [(pytest.approx(value["C", "full"] + 0.1), 1)]


def test_costs_are_multiples_of_the_model_compared_with() -> None:
    axis = Figure().add_subplot()
    draw_costs(axis, EFFICIENCY, ["A", "C", "E"], "A")
    assert [bar.get_width() for bar in axis.patches] == pytest.approx([1, 1.1, 0.6])


def test_the_ablation_says_of_whom_it_is_and_what_stars_mean(tmp_path: Path) -> None:
    metrics = made_up_metrics()
    said = ablation_caption(metrics, "A")
    for part in ("12 patients", "mean of 1 to 2 seeds", "95 %", "chance", "Holm"):
        assert part in said
    whole, alone = tmp_path / "whole.png", tmp_path / "alone.png"
    plot_ablation(metrics, made_up_differences(metrics), EFFICIENCY, [whole])
    one = metrics[metrics["model"] == "A"]
    plot_ablation(one, made_up_differences(one), EFFICIENCY, [alone])
    assert Image.open(alone).height < Image.open(whole).height
