"""Figures of fewer patches, of patches taken away and of masks say on whom and against what."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image
from tests.patchib.made_up_results import (
    COMMON,
    EFFICIENCY,
    made_up_metrics,
)

from cxrflow.patchib.removal_figure import draw_curve, draw_robustness, plot_removal, removal_caption
from cxrflow.patchib.share_figure import costs_of, draw_cost, draw_recall, plot_shares, shares_caption
from cxrflow.plotting import colours_by_place


def made_up_shares() -> pd.DataFrame:
    keys = [(model, share, metric) for model in "CE" for share in (1, 0.5) for metric in ("recall@1", "recall@10")]
    table = pd.DataFrame(keys, columns=["model", "keep_ratio", "metric"]).assign(**COMMON, n_seeds=1)
    value = np.linspace(0.1, 0.4, len(table))
    return table.assign(value=value, low=value - 0.05, high=value + 0.05)


def test_costs_are_drawn_of_models_that_were_measured_at_several_shares() -> None:
    dropping, whole = costs_of(EFFICIENCY)
    assert dropping[["model", "keep_ratio", "images_per_s"]].to_numpy().tolist() == [
        ["E", 0.25, 200],
        ["E", 0.5, 150],
        ["E", 1, 90],
    ]
    assert whole["model"].tolist() == ["A"], "not the frozen model, which comes first"
    only = costs_of(EFFICIENCY[EFFICIENCY["model"] == "C"])
    assert only.dropping.empty
    assert only.whole.empty


def test_the_panels_of_shares_have_their_own_models_and_units() -> None:
    colours = colours_by_place(["0", "A", "C", "E"])
    memory, recall = Figure().add_subplot(), Figure().add_subplot()
    draw_cost(memory, costs_of(EFFICIENCY), "peak_bytes", colours)
    drawn = {line.get_label(): list(line.get_ydata()) for line in memory.get_lines()}
    assert drawn == {"model E": pytest.approx([4, 5, 9]), "model A, all patches": pytest.approx([9, 9])}
    shares = made_up_shares()
    draw_recall(recall, shares[shares["metric"] == "recall@1"], colours)
    assert [to_hex(line.get_color()) for line in recall.get_lines()] == [colours["C"], colours["E"]]


def test_the_shares_say_on_whom_and_on_what_machine(tmp_path: Path) -> None:
    shares, metrics = made_up_shares(), made_up_metrics()
    everything, fewer = tmp_path / "all.png", tmp_path / "fewer.png"
    whole = EFFICIENCY[EFFICIENCY["model"] != "E"]
    metrics = pd.concat([metrics, metrics[metrics["model"] == "C"].assign(model="E")])
    plot_shares(shares, metrics, EFFICIENCY, [everything])
    plot_shares(shares, metrics, whole, [fewer])
    assert Image.open(fewer).width < Image.open(everything).width
    said = shares_caption(shares, costs_of(EFFICIENCY))
    for part in ("12 patients", "95 %", "1 seed", "on cpu, 4 per pass"):
        assert part in said
    assert "cpu" not in shares_caption(shares, costs_of(whole))
    assert shares_caption(shares.head(0), costs_of(whole)) == "No model selects patches."


def made_up_curves() -> pd.DataFrame:
    points = [(0.0, 0.8), (0.5, 0.6), (1.0, 0.1), (np.nan, 0.525)]
    rows = [(model, curve, *point) for model in "AC" for curve in ("deletion", "insertion") for point in points]
    table = pd.DataFrame(rows, columns=["model", "curve", "share", "value"]).assign(**COMMON, n_seeds=1)
    return table.assign(low=table["value"] - 0.1, high=table["value"] + 0.1)


def made_up_robustness() -> pd.DataFrame:
    table = pd.DataFrame({"model": "C", "change": ["grey values", "grey values and place"], "value": [0.8, 0.4]})
    return table.assign(**COMMON, n_seeds=1, low=table["value"] - 0.1, high=table["value"] + 0.1, chance=[0.3, 0.2])


def test_the_area_under_a_curve_is_told_beside_it_and_is_no_point_of_it() -> None:
    curves, axis = made_up_curves(), Figure().add_subplot()
    draw_curve(axis, curves[curves["curve"] == "deletion"], colours_by_place("AC"))
    assert [list(line.get_ydata()) for line in axis.get_lines()] == [[0.8, 0.6, 0.1]] * 2
    assert axis.get_legend_handles_labels()[1] == [f"{model}   0.525 [0.425, 0.625]" for model in "AC"]


def test_bars_of_masks_have_their_chance() -> None:
    axis = Figure().add_subplot()
    draw_robustness(axis, made_up_robustness(), colours_by_place("AC"))
    assert {bar.get_height() for bar in axis.patches if bar.get_height()} == {0.8, 0.4}
    chance = [float(segment[0, 1]) for lines in axis.collections for segment in lines.get_segments()]
    assert {0.3, 0.2} <= set(chance)


def test_without_masks_the_curves_stand_alone(tmp_path: Path) -> None:
    curves, robustness = made_up_curves(), made_up_robustness()
    plot_removal(curves, robustness, 8, [tmp_path / "masks.png"])
    plot_removal(curves, robustness.head(0), 8, [tmp_path / "none.png"])
    assert Image.open(tmp_path / "none.png").width > 1000
    said = removal_caption(curves, 8, True)
    for part in ("12 patients", "at most 8 radiographs", "95 %", "random masks"):
        assert part in said
    assert "random masks" not in removal_caption(curves, 8, False)
