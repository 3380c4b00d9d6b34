"""What each kind of compression costs: shares and bytes kept, and what is drawn of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cxrflow.summary.compression import (
    Compressed,
    compression_table,
    draw,
    weight_of_patches,
    weight_of_weights,
    write_compression,
)

LEVELS = (0.0, 0.5, 0.9)


def overall(cohort: str = "c", method: str = "l1", levels: tuple[float, ...] = LEVELS) -> pd.DataFrame:
    rows = [
        {"method": method, "sparsity": level, "metric": metric, "test": test, "value": -level / 10}
        for metric in ("auroc", "auprc")
        for test in ("welch", "paired")
        for level in levels
    ]
    about: dict[str, Any] = {"cohort": cohort, "simulated": True, "n_patients": 90, "n_seeds": 2, "n_classes": 7}
    return pd.DataFrame(rows).assign(**about, low=lambda t: t["value"] - 0.02, high=lambda t: t["value"] + 0.02)


def storage() -> pd.DataFrame:
    """A network of 100 weights, 4 bytes each, and 40 bytes of something else."""
    rows = []
    for level in LEVELS:
        left = round(100 * (1 - level))
        sizes = {"weights": 100, "dense_bytes": 440, "bitmap_bytes": 53 + 4 * left, "index_bytes": 40 + 8 * left}
        rows += [{"method": "l1", "sparsity": level, "quantity": name, "value": size} for name, size in sizes.items()]
    return pd.DataFrame(rows)


def patches() -> pd.DataFrame:
    shares = [10.0, 50.0, 100.0]
    weights = pd.DataFrame({"kept_percent": shares, "quantity": "feature_bytes_vs_png", "value": [0.15, 0.7, 1.4]})
    return pd.concat([weights, weights.assign(quantity="pixel_bytes_vs_png", value=9.0)], ignore_index=True)


def test_a_row_per_level_says_what_is_kept_and_what_it_costs() -> None:
    table = compression_table([Compressed("patchib", "patches taken away", overall())])
    assert table["kept"].tolist() == [1.0, 0.5, 0.1]
    np.testing.assert_allclose(table["value"], [0, -0.05, -0.09])
    assert set(table["metric"]) == {"auroc_change"}
    assert table["bytes_kept"].isna().all()


def test_a_pruned_network_weighs_its_smallest_form() -> None:
    weight = weight_of_weights(storage())
    assert weight[1.0] == 1, "whole, no form is smaller than the plain one"
    assert weight[0.5] == pytest.approx((53 + 200) / 440)
    assert weight[0.1] == pytest.approx((53 + 40) / 440)


def test_a_whole_radiograph_weighs_1_and_its_patches_their_features() -> None:
    weight = weight_of_patches(patches())
    assert weight[1.0] == 1
    assert (weight[0.5], weight[0.1]) == (0.7, 0.15)


def test_tables_are_read_by_system_and_the_first_method_counts(tmp_path: Path) -> None:
    pd.concat([overall(), overall(method="random")]).to_parquet(tmp_path / "overall.parquet")
    storage().to_parquet(tmp_path / "storage.parquet")
    read = Compressed.read("prunecxr", "weights", tmp_path / "overall.parquet", tmp_path / "storage.parquet")
    table = compression_table([read])
    assert set(table["method"]) == {"l1"}
    assert table["bytes_kept"].notna().all()
    assert Compressed.read("prunecxr", "weights", tmp_path / "overall.parquet").weight is None


def test_a_system_has_one_colour_on_all_its_cohorts_and_a_line_of_each() -> None:
    places = [Compressed("neural", "patches", overall("c")), Compressed("neural", "patches", overall("d"))]
    figure = draw(compression_table([*places, Compressed("prunecxr", "weights", overall("e"))]))
    lines = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert len(figure.axes) == 1, "no table tells of bytes"
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color()
    assert lines[0].get_linestyle() != lines[1].get_linestyle()


def test_bytes_have_a_panel_of_those_who_count_them_and_all_is_written(tmp_path: Path) -> None:
    places = [
        Compressed("prunecxr", "weights", overall(), weight_of_weights(storage())),
        Compressed("patchib", "patches", overall()),
    ]
    figure = draw(compression_table(places))
    assert [len(axis.containers) for axis in figure.axes] == [2, 1]
    write_compression(tmp_path / "t.csv", [tmp_path / "f.png", tmp_path / "f.pdf"], places)
    assert len(pd.read_csv(tmp_path / "t.csv")) == len(pd.read_parquet(tmp_path / "t.parquet")) == 6
    assert (tmp_path / "f.png").stat().st_size > 1000
