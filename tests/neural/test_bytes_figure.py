"""The figure of bytes: every point at its own weight, images alone, permuted labels nowhere."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.neural.bytes_figure import byte_label, bytes_caption, plot_bytes, series_of, weighed

BYTES = {
    ("patches", 2.3, 2.3, "feature_bytes"): 1028.0,
    ("patches", 25.0, 25.0, "feature_bytes"): 9252.0,
    ("patches", 2.3, 2.3, "bytes"): 1100.0,
    ("patches", 100.0, 100.0, "feature_bytes"): 37008.0,
    ("jpeg", 2, 100.0, "bytes"): 500.0,
    ("jpeg", 10, 100.0, "bytes"): 1250.0,
    ("jpeg", 95, 100.0, "bytes"): 13000.0,
    ("side", 24, 100.0, "bytes"): 560.0,
    ("png", 192, 100.0, "bytes"): 20000.0,
    ("source", np.nan, 100.0, "bytes"): 80000.0,
}
VARIANTS = [
    ("image", "attention", "reference", 2.3, "true", 1028),
    ("image", "attention", "reference", 25.0, "true", 9252),
    ("image", "attention", "generated", 2.3, "true", 1028),
    ("image", "random", "none", 25.0, "true", 9252),
    ("image", "jpeg_2", "none", 100.0, "true", 500),
    ("image", "jpeg_10", "none", 100.0, "true", 1250),
    ("image", "side_24", "none", 100.0, "true", 560),
    ("image", "all", "none", 100.0, "true", 20000),
    ("fused", "attention", "reference", 2.3, "true", None),
    ("text", "none", "reference", 0.0, "true", None),
    ("image", "attention", "reference", 2.3, "permuted", None),
]


def compression() -> pd.DataFrame:
    columns = ["encoding", "setting", "kept_percent", "quantity"]
    table = pd.DataFrame([dict(zip(columns, key, strict=True)) for key in BYTES])
    ratio = table.assign(quantity="feature_bytes_vs_png", metric="kept_fraction", value=0.1)
    return pd.concat([table.assign(metric="bytes", value=list(BYTES.values())), ratio], ignore_index=True)


def metrics(targets: tuple[str, ...] = ("Edema", "Lung Lesion")) -> pd.DataFrame:
    columns = ["input", "selector", "text", "kept_percent", "labels"]
    rows = [
        {"target": target, **dict(zip(columns, variant[:-1], strict=True)), "metric": metric}
        for target in targets
        for variant in VARIANTS
        for metric in ("auroc", "auprc")
    ]
    table = pd.DataFrame(rows).assign(value=0.8, low=0.75, high=0.86, n_patients=31, n_seeds=3, n_positive=9)
    return table.assign(cohort="c", simulated=True)


def test_each_variant_weighs_what_it_saw() -> None:
    points = weighed(metrics(("Edema",)), compression())
    found = points[["input", "selector", "text", "kept_percent", "labels", "bytes"]].itertuples(index=False, name=None)
    assert set(found) == {variant for variant in VARIANTS if variant[-1] is not None}
    assert set(points["metric"]) == {"auroc"}


def test_series_run_from_few_bytes_to_many() -> None:
    series = {one.name: one.points for one in series_of(weighed(metrics(("Edema",)), compression()))}
    assert {name: points["bytes"].tolist() for name, points in series.items()} == {
        "attention to the radiologist's report": [1028, 9252],
        "attention to the model's own report": [1028],
        "patches by chance": [9252],
        "whole image, JPEG": [500, 1250],
        "whole image, down-sampled": [560],
        "whole image, lossless PNG": [20000],
    }


def test_a_variant_without_bytes_is_not_drawn_at_a_guess() -> None:
    table = compression()
    with pytest.raises(KeyError):
        weighed(metrics(), table[table["encoding"] != "side"])
    with pytest.raises(KeyError):
        weighed(metrics(), table[table["setting"] != 25])


def test_the_caption_says_patients_seeds_interval_and_what_is_not_weighed() -> None:
    caption = bytes_caption(weighed(metrics(), compression()))
    for part in ("31 patients", "3 seed", "95 %", "images alone", "report that guided attention is not weighed"):
        assert part in caption


def test_units() -> None:
    assert [byte_label(size) for size in (30, 300, 1000, 3e4, 2e6)] == ["30 B", "300 B", "1 kB", "30 kB", "2 MB"]


@pytest.mark.parametrize("count", [1, 2, 6])
def test_one_panel_per_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    import cxrflow.neural.bytes_figure as module

    seen = []
    save = module.save_figure

    def watch(figure, *outputs) -> None:  # type: ignore[no-untyped-def]
        seen.append([axis.get_title() for axis in figure.axes if axis.get_visible()])
        save(figure, *outputs)

    monkeypatch.setattr(module, "save_figure", watch)
    targets = tuple(f"Finding {number}" for number in range(count))
    plot_bytes(metrics(targets), compression(), [tmp_path / "bytes.png", tmp_path / "bytes.pdf"])
    assert seen == [[f"{target} (n = 9 positive)" for target in targets]]
    assert Image.open(tmp_path / "bytes.png").width > 300
    assert (tmp_path / "bytes.pdf").stat().st_size > 1000


def test_without_classifiers_of_images_the_figure_says_so(tmp_path: Path) -> None:
    table = metrics()
    fused = table[table["input"] == "fused"]
    assert "neural.gnn.inputs" in bytes_caption(weighed(fused, compression()))
    plot_bytes(fused, compression(), [tmp_path / "bytes.png"])
    assert Image.open(tmp_path / "bytes.png").width > 100


def test_an_undefined_interval_has_no_bar(tmp_path: Path) -> None:
    table = metrics(("Edema",))
    table.loc[table["selector"] == "random", ["low", "high"]] = np.nan
    plot_bytes(table, compression(), [tmp_path / "bytes.png"])
    assert (tmp_path / "bytes.png").stat().st_size > 1000
