import hashlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.store import ImageStore, build_store, decode
from cxrflow.errors import UserError


@pytest.fixture
def manifest(tmp_path):
    random = np.random.default_rng(0)
    for row in range(5):
        Image.fromarray(random.integers(0, 256, (48, 36), dtype=np.uint8)).save(tmp_path / f"{row}.png")
    return pd.DataFrame(
        {"image_id": list("abcde"), "path": [f"{row}.png" for row in range(5)], "height": 48, "width": 36}
    )


def build(manifest, tmp_path, workers=2):
    refused = Quarantine("test")
    build_store(manifest, tmp_path, 12, tmp_path / "images_12.npy", workers, refused)
    return ImageStore.open(tmp_path / "images_12.npy", tmp_path / "images_12.parquet"), refused


def test_each_pixel_is_the_mean_over_its_area(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (48, 36), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    means = pixels.reshape(12, 4, 12, 3).mean(axis=(1, 3))
    assert np.abs(decode(tmp_path / "image.png", 12) - means).max() <= 1


def test_rows_follow_the_asked_order(manifest, tmp_path):
    store, refused = build(manifest, tmp_path)
    assert store.images.shape == (5, 12, 12)
    assert store.images.dtype == np.uint8
    rows = store.rows(["d", "a"])
    assert np.array_equal(store.images[rows[0]], decode(tmp_path / "3.png", 12))
    assert np.array_equal(store.images[rows[1]], decode(tmp_path / "0.png", 12))
    assert not refused.rows


def test_the_bytes_do_not_depend_on_the_number_of_workers(manifest, tmp_path):
    build(manifest, tmp_path, workers=1)
    first = (tmp_path / "images_12.npy").read_bytes()
    build(manifest, tmp_path, workers=4)
    assert (tmp_path / "images_12.npy").read_bytes() == first
    checksum = hashlib.sha256(first).hexdigest()
    assert (tmp_path / "images_12.sha256").read_text() == f"{checksum}  images_12.npy\n"


def test_a_truncated_file_is_refused_and_the_others_are_kept(manifest, tmp_path):
    whole = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(whole[: len(whole) // 2])
    store, refused = build(manifest, tmp_path)
    assert [row for _, row, _, _ in refused.rows] == ["c"]
    assert store.index["image_id"].tolist() == list("abde")
    assert np.array_equal(store.images[store.rows(["e"])[0]], decode(tmp_path / "4.png", 12))
    with pytest.raises(UserError, match="not in the store"):
        store.rows(["c"])


def test_an_image_with_absurdly_many_pixels_is_refused_before_it_is_decoded(manifest, tmp_path):
    Image.new("1", (30_000, 30_000)).save(tmp_path / "1.png")
    _, refused = build(manifest, tmp_path)
    assert [row for _, row, _, _ in refused.rows] == ["b"]
