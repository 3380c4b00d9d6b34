"""PNG and JPEG become 8-bit grey values, and dimensions are read from headers."""

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.cohort.made_up_images import RAMP, dicom, peak_bytes, png

from cxrflow.cohort.decoding import decode, decode_whole, dimensions


def test_each_pixel_is_the_mean_over_its_area():
    pixels = np.random.default_rng(1).integers(0, 256, (48, 36), dtype=np.uint8)
    means = pixels.reshape(12, 4, 12, 3).mean(axis=(1, 3))
    assert np.abs(decode(png(pixels), 12) - means).max() <= 1


def test_8_bit_grey_is_taken_as_it_is_from_a_path_or_its_content(tmp_path):
    pixels = np.array([[10, 20], [30, 41]], dtype=np.uint8)
    (tmp_path / "image.png").write_bytes(png(pixels))
    assert np.array_equal(decode_whole(png(pixels)), pixels)
    assert np.array_equal(decode_whole(tmp_path / "image.png"), pixels)
    assert np.array_equal(decode(tmp_path / "image.png", 2), pixels)


def test_grey_in_colour_channels_keeps_its_value():
    grey = np.array([[0, 77], [130, 255]], dtype=np.uint8)
    rgb = np.repeat(grey[..., None], 3, axis=2)
    rgba = np.concatenate([rgb, np.full((2, 2, 1), 40, np.uint8)], axis=2)
    assert np.array_equal(decode_whole(png(rgb)), grey)
    assert np.array_equal(decode_whole(png(rgba)), grey)


def test_colour_counts_by_its_luma():
    rgb = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [0, 0, 0]]], dtype=np.uint8)
    expected = np.array([[0.299, 0.587], [0.114, 0]]) * 255  # ITU-R BT.601
    assert np.abs(decode_whole(png(rgb)) - expected).max() <= 1


def test_a_palette_gives_its_colours_not_its_indices():
    image = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8), "P")
    image.putpalette([200, 200, 200, 50, 50, 50, 0, 0, 0])
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    assert decode_whole(buffer.getvalue()).tolist() == [[200, 50], [0, 50]]


def test_a_jpeg_decoded_at_a_fraction_of_its_size_has_the_same_means():
    rows, columns = np.mgrid[:512, :512] / 512
    pixels = (128 + 100 * np.sin(6 * rows) * np.cos(4 * columns)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=95)
    means = pixels.reshape(32, 16, 32, 16).mean(axis=(1, 3))
    assert np.abs(decode(buffer.getvalue(), 32) - means).max() <= 2


def test_16_bits_are_stretched_from_minimum_to_maximum():
    pixels = np.array([[1000, 2000], [3000, 61000]], dtype=np.uint16)
    # (value - 1000) / 60000 * 255: 0, 4.25, 8.5 (to even), 255; cutting to 8 bits or clipping would give 255 everywhere
    assert decode_whole(png(pixels)).tolist() == [[0, 4], [8, 255]]


def test_16_bits_are_averaged_before_they_are_cut_to_8():
    pixels = np.full((4, 4), 51000, dtype=np.uint16)  # 200 stored values make one grey level
    pixels[:2, :2] = [[110, 110], [110, 0]]  # mean 82.5: 0.41 of a level; rounded first: three of four are 1
    pixels[2:, :2] = [[180, 180], [180, 0]]  # mean 135: 0.68 of a level; cut downwards first: all are 0
    assert decode(png(pixels), 2).tolist() == [[0, 255], [1, 255]]


@given(st.integers(1, 12), st.integers(0, 1000), st.lists(st.integers(0, 15), min_size=4, max_size=4))
def test_16_bits_do_not_depend_on_exposure_or_offset(gain, offset, values):
    pixels = np.array([[*values, 0, 15]], dtype=np.uint16)
    assert np.array_equal(decode_whole(png(gain * pixels + offset)), decode_whole(png(pixels)))


def test_dimensions_are_height_then_width(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5), dtype=np.uint8)
    for name, content in {"a.png": png(pixels), "b.png": png(pixels.astype(np.uint16)), "c": dicom(pixels, 8)}.items():
        (tmp_path / name).write_bytes(content)
        assert dimensions(tmp_path / name) == (7, 5)


def test_dimensions_read_no_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4096, (2000, 2000), dtype=np.uint16)
    (tmp_path / "small.dcm").write_bytes(dicom(RAMP))
    dimensions(tmp_path / "small.dcm")  # imports what it needs
    (tmp_path / "image.dcm").write_bytes(dicom(pixels))
    assert peak_bytes(lambda: dimensions(tmp_path / "image.dcm")) < 1_000_000  # the pixels take 8,000,000
    header = (tmp_path / "image.dcm").read_bytes()[:2000]
    (tmp_path / "header.dcm").write_bytes(header)
    assert dimensions(tmp_path / "header.dcm") == (2000, 2000)
