"""Attention and kept patches in true boxes: by hand, against chance, and one row per text setting."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.neural.conftest import MadeUp

from cxrflow.boxes import box_cover, finding_covers
from cxrflow.neural.exports import Exports
from cxrflow.neural.graphs import Graphs
from cxrflow.neural.pointing import pointing_table, selector_and_text
from cxrflow.neural.results import Measured, measured_pointing
from cxrflow.neural.settings import EvaluationSettings

QUICK = EvaluationSettings(resamples=200)
CENTRE_FIRST = np.roll(np.arange(144, dtype=np.uint8), 72)
KEY = ["selector", "text", "metric", "kept_percent"]


def test_box_cover_counts_the_union_in_source_pixels() -> None:
    left_half = {"x": 0, "y": 0, "w": 50, "h": 200}
    cover = box_cover([left_half, left_half], height=200, width=100, side=12).reshape(12, 12)
    assert (cover[:, :6] == 1).all()
    assert (cover[:, 6:] == 0).all()
    quarter = box_cover([{"x": 0, "y": 0, "w": 5, "h": 5}], height=120, width=120, side=12)
    assert quarter[0] == pytest.approx(0.25)
    assert quarter.sum() == pytest.approx(0.25)
    outside = box_cover([{"x": -50, "y": 100, "w": 500, "h": 500}], height=120, width=120, side=12)
    assert outside.sum() == pytest.approx(24)


def boxed(count: int) -> pd.DataFrame:
    """Return samples whose box is exactly patch 0; the first has none."""
    box = {"label": "Edema", "x": 0.0, "y": 0.0, "w": 10.0, "h": 10.0}
    names = [f"{number}" for number in range(count)]
    table = pd.DataFrame({"image_id": names, "patient_id": names, "height": 120, "width": 120})
    return table.assign(boxes=[[box] if number else None for number in range(count)])


def attention(in_box: float, count: int = 6) -> np.ndarray:
    scores = np.full((count, 144), (1 - in_box) / 143, dtype=np.float32)
    scores[:, 0] = in_box
    return scores


def test_each_text_has_its_own_attention_and_selectors_without_text_say_none() -> None:
    scores = {"generated": attention(0.1), "reference": attention(0.5)}
    orders = {
        "attention_reference": np.tile(np.arange(144, dtype=np.uint8), (6, 1)),
        "attention_generated": np.tile(np.arange(144, dtype=np.uint8)[::-1], (6, 1)),
        "centre": np.tile(CENTRE_FIRST, (6, 1)),
    }
    table = pointing_table(boxed(6), scores, orders, [(2.3, 4), (100.0, 144)], {"cohort": "c"}, QUICK)
    value = table.set_index(KEY)["value"]
    assert value["attention", "reference", "mass_in_box", np.nan] == pytest.approx(0.5)
    assert value["attention", "generated", "mass_in_box", np.nan] == pytest.approx(0.1)
    assert value["attention", "reference", "mass_minus_chance", np.nan] == pytest.approx(0.5 - 1 / 144)
    assert value["attention", "reference", "mass_minus_prior", np.nan] == pytest.approx(0, abs=1e-6)
    assert value["attention", "reference", "kept_in_box", 2.3] == pytest.approx(1 / 4)
    assert value["attention", "generated", "kept_in_box", 2.3] == 0
    assert value["centre", "none", "kept_in_box", 2.3] == 0
    assert value["centre", "none", "kept_minus_chance", 100.0] == pytest.approx(0)
    assert not table.duplicated(["finding", *KEY]).any()
    assert set(table["n"]) == {5}
    assert table["chance"].to_numpy() == pytest.approx(1 / 144)
    assert set(table["text"]) == {"reference", "generated", "none"}


def test_attention_that_moves_with_the_box_is_above_its_mean_map() -> None:
    corners = [{"label": "Edema", "x": x, "y": 0.0, "w": 10.0, "h": 10.0} for x in (0.0, 110.0)]
    samples = boxed(4).assign(boxes=[[corners[number % 2]] for number in range(4)])
    follows = np.zeros((4, 144), np.float32)
    follows[[0, 2], 0] = follows[[1, 3], 11] = 1
    stays = np.full((4, 144), 0, np.float32)
    stays[:, [0, 11]] = 0.5
    table = pointing_table(samples, {"generated": follows, "reference": stays}, {}, [], {"cohort": "c"}, QUICK)
    value = table.set_index(["text", "metric"])["value"]
    assert value["generated", "mass_minus_prior"] == pytest.approx(1 - 0.5)
    assert value["reference", "mass_minus_prior"] == pytest.approx(0)
    assert value["reference", "mass_in_box"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("attention_reference", ("attention", "reference")),
        ("attention_generated_masked", ("attention", "generated_masked")),
        ("norm", ("norm", "none")),
    ],
)
def test_a_ranking_is_named_by_selector_and_text(key: str, expected: tuple[str, str]) -> None:
    assert selector_and_text(key) == expected


def test_without_boxes_the_table_is_empty_with_its_columns() -> None:
    table = pointing_table(boxed(1), {"reference": attention(0.5, 1)}, {}, [], {"cohort": "c"}, QUICK)
    assert table.empty
    assert {"finding", "selector", "text", "metric", "value", "low", "high", "chance"} <= set(table.columns)


def test_scores_and_rankings_are_joined_by_image(made_up: MadeUp, tmp_path: Path) -> None:
    samples = made_up.files.samples([], "zero")
    covers = finding_covers(samples, 12).drop_duplicates("position").set_index("position")["cover"]
    perfect = np.full((len(samples), 144), 1 / 144, np.float32)
    for position, cover in covers.items():
        perfect[position] = cover / cover.sum()
    split = samples["split"].to_numpy()
    for name in ("test", "validate"):
        samples.loc[split == name, ["image_id", "patient_id", "study_id", "split"]].to_parquet(
            tmp_path / f"{name}.parquet"
        )
        layers = np.repeat(perfect[split == name][:, None], 2, axis=1)
        np.savez(tmp_path / f"{name}.npz", reference=layers, generated=np.full_like(layers, 1 / 144))
    exports = Exports(*([tmp_path / f"{name}{end}" for name in ("validate", "test")] for end in (".npz", ".parquet")))
    best = np.argsort(-perfect, axis=1, kind="stable").astype(np.uint8)
    shuffled = np.random.default_rng(0).permutation(len(samples))
    text = {name: samples[name].to_numpy(dtype=str)[shuffled] for name in ("image_id", "patient_id", "split")}
    shares = {"percentiles": np.array([2.3, 100.0]), "kept": np.array([1, 144])}
    graphs = Graphs(**text, **shares, orders={"attention_reference": best[shuffled]}, hubs={}, reports={})
    nowhere = dict.fromkeys(("graphs", "features", "validation"), tmp_path)
    measured = Measured([], **nowhere, codecs={}, exports=exports, layers="last", texts=["reference", "generated"],
                        generated=None, reference=None)  # fmt: skip
    table = measured_pointing(measured, graphs, made_up.files, {"cohort": "c"}, QUICK).set_index(["finding", *KEY])
    first = str(finding_covers(samples, 12)["finding"].min())  # the finding whose boxes come first in each image
    value = table["value"][first]
    assert value["attention", "reference", "mass_minus_chance", np.nan] > 0.4
    assert value["attention", "generated", "mass_minus_chance", np.nan] == pytest.approx(0, abs=1e-6)
    assert value["attention", "reference", "kept_in_box", 2.3] > 0.9
