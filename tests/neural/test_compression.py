"""Compression: shares, records and ratios as one counts them by hand, on the test split alone."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.cohort.store import ImageStore
from cxrflow.errors import UserError
from cxrflow.neural.compression import compression_table, report_bytes, touching_counts
from cxrflow.neural.graphs import Graphs
from cxrflow.neural.report_graphs import ReportGraphs
from cxrflow.neural.settings import EvaluationSettings

QUICK = EvaluationSettings(resamples=200)
SOURCE = np.array([1000, 2000, 4000])
HEIGHT, WIDTH = 60, 50  # of the source images
SIDE = 48  # pixels at the model's size: patches of 4 x 4
FEATURES = 10


def reports() -> ReportGraphs:
    """Three images: three entities and one relation; nothing; one entity."""
    return ReportGraphs(
        nodes=np.zeros(4, np.int32),
        node_offsets=np.array([0, 3, 3, 4]),
        edges=np.zeros((1, 2), np.int32),
        edge_offsets=np.array([0, 1, 1, 1]),
        hubs=np.array([0, -1, 0], np.int32),
        vectors=np.zeros((1, 5), np.float32),
    )


def empty_reports() -> ReportGraphs:
    nothing, offsets = np.zeros(0, np.int32), np.zeros(4, np.int64)
    return ReportGraphs(nothing, offsets, nothing.reshape(0, 2), offsets, np.full(3, -1, np.int32), np.zeros((0, 5)))


def graphs(split: tuple[str, ...] = ("test", "train", "test")) -> Graphs:
    ids, order = np.array(["a", "b", "c"]), np.tile(np.arange(144, dtype=np.uint8), (3, 1))
    return Graphs(
        image_id=ids,
        patient_id=np.array(["p", "q", "r"]),
        split=np.array(split),
        percentiles=np.array([2.3, 100.0]),
        kept=np.array([4, 144]),
        orders={"attention_reference": order, "random": order},
        hubs={},
        reports={"reference": reports(), "masked": empty_reports()},
    )


def store() -> ImageStore:
    images = np.random.default_rng(0).integers(0, 255, (3, SIDE, SIDE), dtype=np.uint8)
    index = pd.DataFrame({"image_id": ["a", "b", "c"], "row": [0, 1, 2], "height": HEIGHT, "width": WIDTH})
    return ImageStore(images, index.assign(source_bytes=SOURCE))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("compression")
    np.save(folder / "features.npy", np.zeros((2, 144, FEATURES), np.float16))
    np.save(folder / "jpeg_10.npy", np.array([300, 500]))
    codecs = {"jpeg_10": folder / "jpeg_10.npy"}
    return compression_table(graphs(), folder / "features.npy", store(), codecs, "c", True, QUICK)


def value(table: pd.DataFrame, share: float, quantity: str, text: str = "none", encoding: str = "patches") -> float:
    keys = {"encoding": encoding, "kept_percent": share, "quantity": quantity, "text": text}
    return table.loc[(table[list(keys)] == pd.Series(keys)).all(axis=1), "value"].item()


def test_report_bytes_by_hand() -> None:
    assert report_bytes(reports()).tolist() == [3 * 4 + 8 + 4, 4, 4 + 4]


def test_shares_of_patches_and_pixels(table: pd.DataFrame) -> None:
    for quantity in ("patches", "pixels"):
        assert value(table, 2.3, quantity) == pytest.approx(4 / 144)
        assert value(table, 100.0, quantity) == 1


def test_records_by_hand(table: pd.DataFrame) -> None:
    pixel, feature = 4 * (4 * 4 + 1), 4 * (2 * FEATURES + 1)
    assert value(table, 2.3, "pixel_bytes") == pixel
    assert value(table, 2.3, "feature_bytes") == feature
    assert value(table, 2.3, "report_bytes", "reference") == (24 + 8) / 2
    assert value(table, 2.3, "report_bytes", "masked") == 4
    assert value(table, 2.3, "bytes", "reference") == feature + (24 + 8) / 2
    edges = 3  # patches 0, 1, 2, 3 lie in a row
    whole = 4 * (1 + 16 + 2 * FEATURES) + 2 * edges + 1
    assert value(table, 2.3, "asset_bytes", "reference") == whole + (24 + 8) / 2
    assert value(table, 100.0, "asset_bytes", "reference") == 144 * (1 + 16 + 20) + 2 * 264 + 1 + (24 + 8) / 2


def test_ratios_are_means_of_each_radiographs_ratio(table: pd.DataFrame) -> None:
    record = 4 * (2 * FEATURES + 1)
    expected = ((record + 24) / 1000 + (record + 8) / 4000) / 2  # the train image takes no part
    assert value(table, 2.3, "bytes_vs_source", "reference") == pytest.approx(expected)
    assert value(table, 2.3, "bytes_vs_jpeg", "reference") == pytest.approx(expected)
    assert value(table, 2.3, "feature_bytes_vs_raw") == pytest.approx(record / (HEIGHT * WIDTH))
    assert value(table, 2.3, "report_bytes_vs_jpeg", "reference") == pytest.approx((24 / 1000 + 8 / 4000) / 2)


def test_png_is_the_size_of_a_lossless_file(table: pd.DataFrame) -> None:
    sizes = []
    for image in store().images[[0, 2]]:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG", optimize=True)
        sizes.append(buffer.tell())
        assert buffer.tell() > SIDE**2 / 1.01  # noise cannot be compressed
    assert value(table, 100.0, "bytes", encoding="png") == np.mean(sizes)
    record = 4 * (2 * FEATURES + 1)
    assert value(table, 2.3, "feature_bytes_vs_png") == pytest.approx(np.mean(record / np.array(sizes)))


def test_codecs_are_beside_the_source_and_the_uncompressed_image(table: pd.DataFrame) -> None:
    jpeg = table[(table["encoding"] == "jpeg") & (table["setting"] == 10)].set_index("quantity")["value"]
    assert jpeg["bytes"] == 400
    assert jpeg["bytes_vs_source"] == pytest.approx((300 / 1000 + 500 / 4000) / 2)
    assert jpeg["bytes_vs_raw"] == pytest.approx(400 / 3000)
    assert value(table, 100.0, "bytes", encoding="source") == 2500
    assert value(table, 100.0, "bytes", encoding="raw") == HEIGHT * WIDTH
    fine = table[(table["encoding"] == "jpeg") & (table["setting"] == 95)].set_index("quantity")["value"]
    assert fine["bytes_vs_jpeg_95"] == 1 > jpeg["bytes_vs_jpeg_95"]


def test_rows_are_unique_and_say_on_whom(table: pd.DataFrame) -> None:
    keys = ["encoding", "setting", "text", "kept_percent", "quantity"]
    assert not table.duplicated(keys).any()
    assert set(table["n_patients"]) == {2}
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    assert (table["q1"] <= table["median"]).all()
    assert (table["median"] <= table["q3"]).all()
    wanted = {
        "cohort",
        "simulated",
        "n_patients",
        "kept_percent",
        "quantity",
        "metric",
        "value",
        "low",
        "high",
        "median",
    }
    assert wanted <= set(table.columns)
    assert set(table.loc[table["quantity"].str.contains("_vs_"), "metric"]) == {"kept_fraction"}


def test_neighbours_are_counted_among_the_kept_alone() -> None:
    scattered = np.array([0, 2, 4, 1, 3, *range(5, 144)], np.uint8)
    assert touching_counts(scattered[None], 3).tolist() == [0]
    assert touching_counts(scattered[None], 4).tolist() == [2]
    assert touching_counts(scattered[None], 144).tolist() == [264]


def test_bytes_of_another_run_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", np.zeros((2, 144, FEATURES), np.float16))
    np.save(tmp_path / "side_24.npy", np.array([300, 500, 700]))
    codecs = {"side_24": tmp_path / "side_24.npy"}
    with pytest.raises(UserError, match="3 radiographs, the test split has 2"):
        compression_table(graphs(), tmp_path / "features.npy", store(), codecs, "c", True, QUICK)
    with pytest.raises(UserError, match="no radiograph"):
        compression_table(graphs(("train",) * 3), tmp_path / "features.npy", store(), {}, "c", True, QUICK)
