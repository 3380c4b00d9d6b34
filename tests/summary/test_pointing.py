"""Attention side by side: what each system's rows say, the pointing game over slices, and the figure."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cxrflow.clear.downstream_settings import MeasuringSettings
from cxrflow.clear.slice_pointing import bag_hits, read_seeds, slice_pointing
from cxrflow.forgetting.figures import FEW
from cxrflow.summary.pointing import COLUMNS, LESION, of_neural, of_patchib, pointing_table
from cxrflow.summary.pointing_figure import draw, plot_pointing, pointing_caption

HOW = MeasuringSettings(resamples=200)
ABOUT: dict[str, Any] = {"cohort": "c", "simulated": True, "n": FEW, "n_patients": FEW, "chance": 0.1}


def slices(marks: dict[str, list[int]]) -> pd.DataFrame:
    """The slices of patients, by name, in order; 1: a lesion is marked."""
    return pd.DataFrame(
        [
            {"image_id": f"{patient}{place}", "patient_id": patient, "boxes": [{"label": "bone"}] if mark else None}
            for patient, own in marks.items()
            for place, mark in enumerate(own)
        ]
    )


def attention(weights: dict[str, list[float]], encoder: str = "moco", seed: int = 0) -> pd.DataFrame:
    rows = [
        {"bag": bag, "image_id": f"{bag}{place}", "attention": value}
        for bag, own in weights.items()
        for place, value in enumerate(own)
    ]
    return pd.DataFrame(rows).assign(encoder=encoder, seed=seed, task="t", aggregator="abmil")


def test_a_hit_is_a_marked_slice_with_most_attention() -> None:
    marks = slices({"p": [0, 1, 0], "q": [1, 0, 0]})
    hits = bag_hits(attention({"p": [0.1, 0.8, 0.1], "q": [0.1, 0.2, 0.7]}), marks).set_index("bag")
    assert hits["hit"].to_dict() == {"p": 1, "q": 0}
    assert hits["centre"].to_dict() == {"p": 1, "q": 0}
    np.testing.assert_allclose(hits["chance"], 1 / 3)


def test_slices_of_equal_attention_and_two_in_the_middle_count_in_part() -> None:
    marks = slices({"p": [0, 1, 0, 0]})
    hit = bag_hits(attention({"p": [0.25, 0.25, 0.25, 0.25]}), marks).iloc[0]
    assert (hit["hit"], hit["chance"], hit["centre"]) == (0.25, 0.25, 0.5)


def test_the_middle_is_that_of_the_scan_whatever_the_order_of_the_rows() -> None:
    rows = attention({"p": [0.1, 0.2, 0.7]}).sample(frac=1, random_state=3)
    assert bag_hits(rows, slices({"p": [0, 1, 0]}))["centre"].tolist() == [1]


def test_bags_with_nothing_to_find_or_to_miss_are_left_out() -> None:
    marks = slices({"p": [0, 0], "q": [1, 1], "r": [1, 0]})
    hits = bag_hits(attention({name: [0.4, 0.6] for name in "pqr"}), marks)
    assert hits["bag"].tolist() == ["r"]


def test_seeds_are_averaged_and_patients_resampled() -> None:
    marks = slices({name: [0, 1] for name in "pqrs"})
    right, wrong = (dict.fromkeys("pqrs", own) for own in ([0.2, 0.8], [0.8, 0.2]))
    both = pd.concat([attention(right, seed=0), attention(wrong, seed=1), attention(right, "scratch")])
    table = slice_pointing(both, marks, HOW).set_index("encoder")
    assert table["value"].to_dict() == {"moco": 0.5, "scratch": 1}
    assert table["n_seeds"].to_dict() == {"moco": 2, "scratch": 1}
    assert (table["low"] == table["high"]).all(), "all patients are alike"
    assert (table["n_patients"] == 4).all()


def test_the_first_aggregator_of_a_task_counts(tmp_path: Path) -> None:
    rows = attention({"p": [0.2, 0.8]})
    other = [rows.assign(aggregator="pma"), rows.assign(task="u")]
    pd.concat([rows, *other]).to_parquet(tmp_path / "a.parquet")
    assert len(read_seeds([tmp_path / "a.parquet"], "t")) == 2


def neural() -> pd.DataFrame:
    rows = [
        ("attention", "generated", 2.3, "kept_in_box", 0.4),
        ("attention", "generated", 25.0, "kept_in_box", 0.2),
        ("attention", "generated", np.nan, "mass_in_box", 0.3),
        ("centre", "none", 2.3, "kept_in_box", 0.15),
        ("norm", "none", 2.3, "kept_in_box", 0.35),
    ]
    table = pd.DataFrame(rows, columns=["selector", "text", "kept_percent", "metric", "value"])
    return table.assign(**ABOUT, finding="Edema", low=table["value"] - 0.1, high=table["value"] + 0.1)


def patchib() -> pd.DataFrame:
    table = pd.DataFrame({"model": ["E", "E"], "kind": ["prompt", "mask"], "metric": "pointing", "value": [0.2, 0.3]})
    table = pd.concat([table, table.assign(metric="auprc")], ignore_index=True)
    return table.assign(**ABOUT, finding="Edema", low=0.1, high=0.4, centre=0.2, n_seeds=2)


def clear() -> pd.DataFrame:
    row = {**ABOUT, "system": "clear", "looks": "moco", "finding": LESION, "metric": "slice_pointing", "n_seeds": 2}
    return pd.DataFrame([{**row, "value": 0.6, "low": 0.5, "high": 0.7, "centre": 0.2}])[COLUMNS]


def test_attention_of_neural_is_compared_with_the_centre_at_the_smallest_share() -> None:
    table = of_neural(neural()).set_index("looks")
    assert table["value"].to_dict() == {"attention, generated text": 0.4, "norm": 0.35}
    assert (table["centre"] == 0.15).all()


def test_only_the_pointing_game_of_patchib_is_taken() -> None:
    assert of_patchib(patchib())["looks"].tolist() == ["model E, prompt", "model E, mask"]


def test_systems_stand_below_each_other_and_none_gives_an_empty_table() -> None:
    table = pointing_table([of_neural(neural()), of_patchib(patchib().head(0)), clear()])
    assert table["system"].tolist() == ["neural", "neural", "clear"]
    assert pointing_table([]).columns.tolist() == COLUMNS


def test_each_system_has_a_panel_with_its_own_chance_and_centre() -> None:
    figure = draw(pointing_table([of_neural(neural()), of_patchib(patchib()), clear()]))
    assert [axis.get_title(loc="left").split(",")[0] for axis in figure.axes] == ["neural", "patchib", "clear"]
    for axis, centre in zip(figure.axes, (0.15, 0.2, 0.2), strict=True):
        _, names = axis.get_legend_handles_labels()
        assert {"chance", "centre"} < set(names)
        diamonds = next(part for part in axis.collections if part.get_label() == "centre")
        assert np.asarray(diamonds.get_offsets())[0, 0] == pytest.approx(centre)


def test_the_figure_shows_chosen_ways_and_findings_with_enough_images(tmp_path: Path) -> None:
    table = pointing_table([of_neural(neural()), of_patchib(patchib()), clear().assign(n=FEW - 1)])
    for kind in ("png", "pdf"):
        plot_pointing(table, ["norm"], [tmp_path / f"f.{kind}"])
        assert (tmp_path / f"f.{kind}").stat().st_size > 1000
    assert "No finding" in pointing_caption(table.head(0))


def test_without_boxes_there_is_a_figure_that_says_so(tmp_path: Path) -> None:
    plot_pointing(pointing_table([]), [], [tmp_path / "f.png"])
    assert (tmp_path / "f.png").stat().st_size > 1000
