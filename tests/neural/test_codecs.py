"""Codecs: bytes that really decode to the image that is classified; the trained encoder sees exactly that image."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrflow.errors import UserError
from cxrflow.neural.codec_export import CodecFiles, coded_batches, export_codec, load_encoder
from cxrflow.neural.codecs import coded, encoded
from cxrflow.neural.settings import DataSettings, DecoderSettings, EncoderSettings, VlmSettings
from cxrflow.neural.vlm import VisionLanguageModel
from cxrflow.weights import save_weights

SMALL = VlmSettings(encoder=EncoderSettings(widths=(16, 16)), decoder=DecoderSettings(width=16, heads=2, layers=1))
DATA = DataSettings(image_size=96, labels=("Lung Lesion",))


def radiograph(seed: int = 0, side: int = 96) -> np.ndarray:
    """Return noise upon a smooth ramp: something that costs bytes."""
    ramp = np.add.outer(np.linspace(40, 120, side), np.linspace(0, 80, side))
    return np.clip(ramp + np.random.default_rng(seed).normal(0, 6, (side, side)), 0, 255).astype(np.uint8)


def error(image: np.ndarray, codec: str) -> float:
    return float(np.abs(coded(image, codec)[1].astype(float) - image).mean())


def test_a_file_decodes_to_the_image_that_is_returned() -> None:
    content, image = coded(radiograph(), "jpeg_10")
    with Image.open(io.BytesIO(content)) as file:
        assert (file.format, file.mode, file.size) == ("JPEG", "L", (96, 96))
        np.testing.assert_array_equal(np.asarray(file), image)


def test_more_quality_costs_more_bytes_and_errs_less() -> None:
    image = radiograph()
    for worse, better in (
        ("jpeg_2", "jpeg_10"),
        ("jpeg_10", "jpeg_90"),
        ("side_12", "side_48"),
        ("side_48", "side_96"),
    ):
        assert len(coded(image, worse)[0]) < len(coded(image, better)[0])
        assert error(image, worse) > error(image, better)


def test_down_sampling_stores_the_mean_of_each_area() -> None:
    image = np.zeros((24, 24), np.uint8)
    image[0, 0] = 80  # 80 / (2 x 2)
    image[2:4, 22:24] = [[10, 20], [30, 40]]
    content, back = coded(image, "side_12")
    with Image.open(io.BytesIO(content)) as small:
        assert small.format == "PNG"
        stored = np.asarray(small)
    assert stored.shape == (12, 12)
    assert (stored[0, 0], stored[1, 11], stored.sum()) == (20, 25, 45)
    assert back.shape == image.shape


@given(st.integers(0, 255), st.sampled_from(["side_4", "side_5", "side_24", "jpeg_95"]))
@settings(max_examples=30)
def test_an_even_image_comes_back_as_it_was(grey: int, codec: str) -> None:
    image = np.full((24, 24), grey, np.uint8)
    np.testing.assert_allclose(coded(image, codec)[1].astype(int), grey, atol=1)


def test_the_full_side_loses_nothing() -> None:
    image = radiograph()
    content, back = coded(image, "side_96")
    np.testing.assert_array_equal(back, image)
    assert content == encoded(image, "PNG")


@pytest.mark.parametrize("codec", ["webp_10", "jpeg", "jpeg_", "jpeg_x", "side_0", "side_-4", "side_97", ""])
def test_other_names_are_refused(codec: str) -> None:
    with pytest.raises(UserError, match="Hint: "):
        coded(radiograph(), codec)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    torch.manual_seed(3)
    file = tmp_path_factory.mktemp("vlm") / "model.safetensors"
    save_weights(VisionLanguageModel(SMALL, 96, 1, 80), file)
    return file


def test_only_the_encoder_of_the_trained_model_is_read(weights: Path) -> None:
    torch.manual_seed(3)
    whole = VisionLanguageModel(SMALL, 96, 1, 80).eval()
    images = torch.rand(2, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = whole.encoder(images), load_encoder(SMALL.encoder, 96, weights).eval()(images)
    torch.testing.assert_close(found, expected)


def test_an_encoder_of_other_settings_is_refused(weights: Path) -> None:
    with pytest.raises(UserError, match=r"neural\.vlm\.encoder"):
        load_encoder(EncoderSettings(widths=(16, 24)), 96, weights)


def run(made_up, folder: Path, weights: Path, codec: str, batch_size: int, threads: int) -> CodecFiles:  # type: ignore[no-untyped-def]
    outputs = CodecFiles(folder / f"{codec}_features.npy", folder / f"{codec}_bytes.npy")
    export_codec(made_up.files, weights, "test", codec, outputs, DATA, SMALL, batch_size, threads)
    return outputs


def test_features_are_of_the_decoded_images_in_the_order_of_their_ids(made_up, tmp_path: Path, weights: Path) -> None:  # type: ignore[no-untyped-def]
    outputs = run(made_up, tmp_path, weights, "jpeg_10", batch_size=7, threads=1)
    split = pd.read_parquet(made_up.files.split)
    ids = sorted(split.loc[split["split"] == "test", "image_id"])
    store = made_up.files.store()
    files = [coded(np.asarray(store.images[row]), "jpeg_10") for row in store.rows(ids)]
    assert np.load(outputs.sizes).tolist() == [len(content) for content, _ in files]
    images = torch.from_numpy(np.stack([image for _, image in files]))[:, None].float() / 255
    with torch.no_grad():
        expected = load_encoder(SMALL.encoder, 96, weights).eval()(images).numpy()
    found = np.load(outputs.features)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_a_codec_without_loss_gives_the_features_of_the_images_themselves(
    made_up,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    weights: Path,
) -> None:
    lossless, lossy = (
        np.load(run(made_up, tmp_path, weights, codec, 64, 1).features) for codec in ("side_96", "jpeg_2")
    )
    split, store = pd.read_parquet(made_up.files.split), made_up.files.store()
    rows = store.rows(sorted(split.loc[split["split"] == "test", "image_id"]))
    with torch.no_grad():
        images = torch.from_numpy(np.stack([store.images[row] for row in rows]))[:, None].float() / 255
        plain = load_encoder(SMALL.encoder, 96, weights).eval()(images).numpy()
    assert np.abs(lossless - plain).max() < 5e-3 < np.abs(lossy - plain).max()


def test_threads_change_nothing(made_up) -> None:  # type: ignore[no-untyped-def]
    store, found = made_up.files.store(), []
    for threads in (1, 3):
        with ThreadPoolExecutor(threads) as pool:
            found.append(list(coded_batches(store, np.arange(20), "side_24", 8, pool)))
    for (images, sizes), (again, same) in zip(*found, strict=True):
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(sizes, same)
