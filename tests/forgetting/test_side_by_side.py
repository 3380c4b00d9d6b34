"""What each kind of compression forgets first: ranks, and what is drawn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrflow.forgetting.figures import FEW
from cxrflow.forgetting.side_by_side import Place, draw, side_by_side, write_side_by_side

NAN = float("nan")
CLASSES = ("Mass", "Edema", "Hernia", "Nodule")
DROPS = (0.9, 0.5, NAN, NAN)
CHANGES = (-0.6, -0.8, -0.1, -0.15)


def place(system: str = "prunecxr", positives: tuple[int, ...] = (50, 40, FEW, FEW - 1)) -> Place:
    forgettability = pd.DataFrame(
        {
            "class": CLASSES,
            "cohort": "made-up",
            "simulated": True,
            "method": "l1",
            "group": ["head", "medium", "tail", "tail"],
            "n_positive": positives,
            "n_patients": 90,
            "n_seeds": 3,
            "train_count": [400, 60, 9, 8],
            "first_drop": DROPS,
            "final_change": CHANGES,
            "final_change_low": np.array(CHANGES) - 0.1,
            "final_change_high": np.array(CHANGES) + 0.1,
        }
    )
    curves = pd.DataFrame(
        [
            {"class": name, "metric": "auprc_change", "sparsity": level, "value": level * change, "method": "l1"}
            for name, change in zip(CLASSES, CHANGES, strict=True)
            for level in (0.5, 0.95)
        ]
    )
    return Place(system, "weights set to zero", curves, forgettability)


def test_what_drops_first_is_first_and_of_those_that_never_do_what_lost_most() -> None:
    table = side_by_side([place()])
    assert table["class"].tolist() == ["Edema", "Mass", "Nodule", "Hernia"]
    assert table["rank"].tolist() == [1, 2, 3, 4]


def test_each_place_is_ranked_by_itself() -> None:
    table = side_by_side([place("neural"), place("prunecxr")])
    assert table.groupby("system")["rank"].apply(sorted).tolist() == [[1, 2, 3, 4]] * 2


def test_classes_with_too_few_positives_are_not_drawn_unless_all_are() -> None:
    assert "Nodule" not in set(place().told["class"])
    assert len(place(positives=(1, 1, 1, 1)).told) == 4


def test_the_first_method_is_the_one_shown(tmp_path: Path) -> None:
    one = place()
    for name, table in (("curves", one.curves), ("forgettability", one.forgettability)):
        pd.concat([table, table.assign(method="random")]).to_parquet(tmp_path / f"{name}.parquet")
    read = Place.read("prunecxr", "weights", tmp_path / "curves.parquet", tmp_path / "forgettability.parquet")
    assert set(read.curves["method"]) == set(read.forgettability["method"]) == {"l1"}


def test_the_figure_has_a_column_per_place_a_line_per_class_and_says_never() -> None:
    figure = draw([place("neural"), place("prunecxr")])
    curves, losses = figure.axes[0], figure.axes[2]
    assert len(figure.axes) == 4
    ends = sorted(float(line.get_ydata()[-1]) for line in curves.lines if len(line.get_ydata()) == 3)
    assert ends == pytest.approx(sorted(0.95 * change for change in CHANGES[:3]))
    assert [text.get_text() for text in losses.texts] == ["50%", "90%", "never"]


def test_table_and_figures_are_written(tmp_path: Path) -> None:
    write_side_by_side(tmp_path / "table.csv", [tmp_path / "figure.png", tmp_path / "figure.pdf"], [place()])
    assert len(pd.read_csv(tmp_path / "table.csv")) == len(pd.read_parquet(tmp_path / "table.parquet")) == 4
    assert (tmp_path / "figure.png").stat().st_size > 1000
    assert (tmp_path / "figure.pdf").exists()
