"""Metrics, compression, pointing and figures say what they measure, on whom, and how surely."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.cohort.store import ImageStore
from cxrflow.neural.compression import compression_table, report_bytes
from cxrflow.neural.evaluation import evaluate_predictions
from cxrflow.neural.figures import auc_caption, plot_auc
from cxrflow.neural.gallery import pruned_image, typical_examples
from cxrflow.neural.graphs import Graphs
from cxrflow.neural.pointing import box_cover, pointing_table
from cxrflow.neural.report_graphs import ReportGraphs
from cxrflow.neural.settings import EvaluationSettings

QUICK = EvaluationSettings(resamples=200)


def predictions(folder: Path, seed: int, informative: bool) -> Path:
    rng = np.random.default_rng(seed)
    rows = []
    for image in range(40):
        y = image % 2
        score = 0.5 + 0.4 * (y - 0.5) if informative else rng.random()
        common = {"image_id": f"i{image:02d}", "patient_id": f"p{image // 4}", "input": "image", "seed": seed}
        common |= {"kept_percent": 2.3, "selector": "attention", "text": "reference"}
        rows.append({**common, "target": "Edema", "y": y, "probability": score})
        rows.append({**common, "target": "Fracture", "y": 0, "probability": score})
    pd.DataFrame(rows).sample(frac=1, random_state=seed).to_parquet(folder / f"{seed}.parquet")
    return folder / f"{seed}.parquet"


def test_a_value_is_the_mean_over_seeds_and_one_outcome_has_none(tmp_path: Path) -> None:
    files = [predictions(tmp_path, 0, True), predictions(tmp_path, 1, False)]
    alone = [evaluate_predictions([file], "c", True, QUICK) for file in files]
    both = evaluate_predictions(files, "c", True, QUICK)
    key = (both["metric"] == "auroc") & (both["target"] == "Edema")
    assert alone[0].loc[key, "value"].item() == 1
    assert both.loc[key, "value"].item() == pytest.approx((1 + alone[1].loc[key, "value"].item()) / 2)
    assert both.loc[key, "low"].item() < both.loc[key, "value"].item() < both.loc[key, "high"].item()
    assert both["n_patients"].tolist() == [10] * 4
    assert both["n_seeds"].tolist() == [2] * 4
    assert both.loc[both["target"] == "Fracture", ["value", "low", "high"]].isna().all(axis=None)


def test_images_whose_truth_is_ignored_take_no_part(tmp_path: Path) -> None:
    whole = pd.read_parquet(predictions(tmp_path, 0, False))
    ignored = (whole["target"] == "Edema") & (whole["image_id"] < "i12")
    whole[~ignored].to_parquet(tmp_path / "partly.parquet")
    whole[whole["image_id"] >= "i12"].to_parquet(tmp_path / "known.parquet")
    partly, known = (
        evaluate_predictions([tmp_path / f"{name}.parquet"], "c", True, QUICK) for name in ("partly", "known")
    )
    edema = [table[table["target"] == "Edema"] for table in (partly, known)]
    assert edema[0]["value"].tolist() == edema[1]["value"].tolist()
    assert edema[0]["n_patients"].tolist() == [7, 7]
    assert partly.loc[partly["target"] == "Fracture", "n_patients"].tolist() == [10, 10]


def test_the_order_of_files_and_rows_changes_nothing(tmp_path: Path) -> None:
    files = [predictions(tmp_path, seed, False) for seed in (0, 1)]
    pd.testing.assert_frame_equal(
        evaluate_predictions(files, "c", True, QUICK), evaluate_predictions(files[::-1], "c", True, QUICK)
    )


def test_box_cover_counts_the_union_in_source_pixels() -> None:
    left_half = {"x": 0, "y": 0, "w": 50, "h": 200}
    cover = box_cover([left_half, left_half], height=200, width=100).reshape(12, 12)
    assert (cover[:, :6] == 1).all()
    assert (cover[:, 6:] == 0).all()
    quarter = box_cover([{"x": 0, "y": 0, "w": 5, "h": 5}], height=120, width=120)
    assert quarter[0] == pytest.approx(0.25)
    assert quarter.sum() == pytest.approx(0.25)
    outside = box_cover([{"x": -50, "y": 100, "w": 500, "h": 500}], height=120, width=120)
    assert outside.sum() == pytest.approx(24)


def boxed(count: int) -> pd.DataFrame:
    box = {"label": "Edema", "x": 0.0, "y": 0.0, "w": 10.0, "h": 10.0}  # exactly patch 0
    names = [f"{number}" for number in range(count)]
    table = pd.DataFrame({"image_id": names, "patient_id": names, "height": 120, "width": 120})
    return table.assign(boxes=[[box] if number else None for number in range(count)])


def test_attention_on_the_box_beats_chance_and_kept_patches_are_in_it() -> None:
    scores = np.full((6, 144), 0.5 / 143, dtype=np.float32)
    scores[:, 0] = 0.5
    orders = {"attention": np.tile(np.arange(144, dtype=np.uint8), (6, 1))}
    table = pointing_table(boxed(6), scores, orders, [(2.3, 4), (100.0, 144)], {"cohort": "c"}, QUICK)
    value = table.set_index(["metric", "kept_percent"])["value"]
    assert value[("mass_in_box", np.nan)] == pytest.approx(0.5)
    assert value[("mass_minus_chance", np.nan)] == pytest.approx(0.5 - 1 / 144)
    assert value[("mass_minus_prior", np.nan)] == pytest.approx(0, abs=1e-6)
    assert value[("kept_in_box", 2.3)] == pytest.approx(1 / 4)
    assert value[("kept_minus_chance", 100.0)] == pytest.approx(0)
    assert set(table["n"]) == {5}
    assert table["chance"].iloc[0] == pytest.approx(1 / 144)


def test_without_boxes_the_table_is_empty_with_its_columns() -> None:
    samples = boxed(1)
    table = pointing_table(samples, np.ones((1, 144), np.float32), {}, [], {"cohort": "c"}, QUICK)
    assert table.empty
    assert {"finding", "selector", "metric", "value", "low", "high", "chance"} <= set(table.columns)
    assert typical_examples(samples, np.ones((1, 144), np.float32)) == {}


def test_compression_by_hand(tmp_path: Path) -> None:
    reports = ReportGraphs(
        nodes=np.zeros(3, np.int32),
        node_offsets=np.array([0, 3, 3]),
        edges=np.zeros((1, 2), np.int32),
        edge_offsets=np.array([0, 1, 1]),
        hubs=np.array([0, -1], np.int32),
        vectors=np.zeros((1, 5), np.float32),
    )
    ids = np.array(["a", "b"])
    kept = {"percentiles": np.array([2.3, 100]), "kept": np.array([4, 144])}
    graphs = Graphs(ids, ids, np.array(["test", "test"]), **kept, orders={}, hubs={}, reports=reports)
    assert report_bytes(graphs).tolist() == [3 * 4 + 8 + 4, 4]
    np.save(tmp_path / "features.npy", np.zeros((2, 144, 10), np.float16))
    index = pd.DataFrame({"image_id": ids, "row": [0, 1], "height": 48, "width": 48, "source_bytes": [1000, 2000]})
    store = ImageStore(np.zeros((2, 48, 48), np.uint8), index)
    table = compression_table(graphs, tmp_path / "features.npy", store, "c", True, QUICK)
    value = table.set_index(["kept_percent", "quantity"])["value"]
    assert value[(2.3, "patches")] == pytest.approx(4 / 144)
    record = 4 * (2 * 10 + 1)
    assert value[(2.3, "bytes_vs_jpeg")] == pytest.approx(((record + 24) / 1000 + (record + 4) / 2000) / 2)
    assert value[(100.0, "pixels")] == 1


def test_pruned_image_shows_kept_patches_only() -> None:
    image = np.full((24, 24), 9, np.uint8)
    shown = pruned_image(image, np.array([0, 143], np.uint8))
    assert (shown[:2, :2] == 9).all()
    assert (shown[-2:, -2:] == 9).all()
    assert shown.sum() == 9 * 8


def test_the_figure_says_patients_seeds_interval_and_text(tmp_path: Path) -> None:
    table = evaluate_predictions([predictions(tmp_path, 0, False)], "c", True, QUICK)
    caption = auc_caption(table)
    assert "10 patients" in caption
    assert "1 seed" in caption
    assert "95 %" in caption
    assert "reference report" in caption
    plot_auc(table, [tmp_path / "figure.png", tmp_path / "figure.pdf"])
    assert Image.open(tmp_path / "figure.png").width > 300
    assert (tmp_path / "figure.pdf").stat().st_size > 1000
