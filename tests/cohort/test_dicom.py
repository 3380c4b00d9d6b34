"""DICOM becomes 8-bit grey values as the standard says."""

import io

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from tests.cohort.made_up_images import RAMP, dataset, dicom, recoded

from cxrflow.cohort.decoding import decode, decode_whole, dimensions
from cxrflow.cohort.dicom import grey_of_stored


def lookup_table(first, depth, entries, kind="US"):
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, depth]
    item["LUTDescriptor"].VR = kind
    item.LUTData = entries
    item["LUTData"].VR = "US"
    return item


def test_12_bits_without_window_are_stretched_from_minimum_to_maximum():
    pixels = np.array([[100, 200], [600, 1100]], dtype=np.uint16)
    assert decode_whole(dicom(pixels)).tolist() == [[0, 26], [128, 255]]  # (value - 100) / 1000 * 255; 127.5 to even


def test_bits_beyond_the_stored_ones_do_not_count():
    pixels = np.array([[100, 200], [600, 1100]], dtype=np.uint16)
    assert np.array_equal(decode_whole(dicom(pixels | 0xF000)), decode_whole(dicom(pixels)))


def test_monochrome1_is_the_inverse_of_monochrome2():
    assert decode_whole(dicom(RAMP, PhotometricInterpretation="MONOCHROME2"))[0].tolist() == [0, 17, 34, 51]
    assert decode_whole(dicom(RAMP, PhotometricInterpretation="MONOCHROME1"))[0].tolist() == [255, 238, 221, 204]


def test_a_linear_window_by_hand():
    pixels = np.array([[1995, 1996, 2000], [2003, 2004, 4095]], dtype=np.uint16)
    window = {"WindowCenter": 2000, "WindowWidth": 9}
    # below 1999.5 - 4 black, above 1999.5 + 4 white, between ((x - 1999.5) / 8 + 0.5) * 255: 15.9, 143.4, 239.1
    assert decode_whole(dicom(pixels, **window)).tolist() == [[0, 16, 143], [239, 255, 255]]


def test_the_exact_window_and_the_sigmoid_by_hand():
    pixels = np.array([[90, 95, 100, 105, 110]], dtype=np.uint16)
    exact = dicom(pixels, WindowCenter=100, WindowWidth=20, VOILUTFunction="LINEAR_EXACT")
    assert decode_whole(exact).tolist() == [[0, 64, 128, 191, 255]]
    sigmoid = dicom(pixels, WindowCenter=100, WindowWidth=20, VOILUTFunction="SIGMOID")
    # 255 / (1 + exp(-4 (x - 100) / 20)): 30.4, 68.6, 127.5, 186.4, 224.6
    assert decode_whole(sigmoid).tolist() == [[30, 69, 128, 186, 225]]


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")  # of pydicom, far outside of narrow windows
@given(
    st.floats(-3000, 3000),
    st.floats(1.5, 5000),
    st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    st.integers(0, 1),
)
def test_windows_agree_with_pydicom(centre, width, function, signed):
    kind = np.int16 if signed else np.uint16
    image = dataset(RAMP.astype(kind), 12, WindowCenter=centre, WindowWidth=width, VOILUTFunction=function)
    stored = np.arange(-2048, 2048, dtype=np.int32) if signed else np.arange(4096, dtype=np.int32)
    lowest = -2048 if signed else 0  # pydicom gives the range of 12 bits, here it is 0..255
    expected = (apply_windowing(stored, image) - lowest) / 4095 * 255
    grey = grey_of_stored(image, stored, np.ones(len(stored), dtype=bool))
    assert np.abs(grey - expected).max() < 0.01


def test_the_first_of_several_windows_counts():
    several = dicom(RAMP, WindowCenter=[8, 2000], WindowWidth=[4, 100])
    assert np.array_equal(decode_whole(several), decode_whole(dicom(RAMP, WindowCenter=8, WindowWidth=4)))


@pytest.mark.parametrize("window", [{"WindowCenter": 8, "WindowWidth": 0}, {"WindowCenter": 8}, {"WindowWidth": 4}])
def test_a_window_that_the_standard_forbids_is_none(window):
    assert np.array_equal(decode_whole(dicom(RAMP, **window)), decode_whole(dicom(RAMP)))


def test_the_window_applies_after_the_rescale():
    hounsfield = dicom(RAMP, RescaleSlope=100, RescaleIntercept=-1000, WindowCenter=0, WindowWidth=1001)
    # 0..15 become -1000..500; the window reaches from -500.5 to 499.5: 5 is 0.5 / 1000 of it, 10 is 0.5005
    assert decode_whole(hounsfield).ravel()[[4, 5, 10, 15]].tolist() == [0, 0, 128, 255]


def test_signed_values_are_read_as_signed():
    pixels = np.array([[-1000, 0], [1000, 1000]], dtype=np.int16)
    assert decode_whole(dicom(pixels)).tolist() == [[0, 128], [255, 255]]


def test_a_voi_table_counts_before_a_window():
    table = lookup_table(4, 8, [0, 100, 200, 255])  # 4 and below: 0, 5: 100, 6: 200, 7 and above: 255
    image = dicom(RAMP, VOILUTSequence=[table], WindowCenter=8, WindowWidth=4)
    assert decode_whole(image).tolist() == [[0, 0, 0, 0], [0, 100, 200, 255], [255] * 4, [255] * 4]


def test_a_modality_table_comes_first():
    table = lookup_table(0, 16, [60000 - 1000 * value for value in range(16)])
    table.ModalityLUTType = "US"
    assert np.array_equal(decode_whole(dicom(RAMP, ModalityLUTSequence=[table])), 255 - decode_whole(dicom(RAMP)))


def test_padding_does_not_stretch_the_image():
    pixels = np.array([[0, 1000], [1100, 1200]], dtype=np.uint16)
    assert decode_whole(dicom(pixels, PixelPaddingValue=0)).tolist() == [[0, 0], [128, 255]]
    pixels = np.array([[0, 5, 1000], [1100, 1200, 3]], dtype=np.uint16)
    image = dicom(pixels, PixelPaddingValue=0, PixelPaddingRangeLimit=5)
    assert decode_whole(image).tolist() == [[0, 0, 0], [128, 255, 0]]


def test_dicom_is_averaged_before_it_is_cut_to_8_bits():
    pixels = np.full((4, 4), 4080, dtype=np.uint16)  # 16 stored values make one grey level
    pixels[:2, :2] = [[9, 9], [9, 0]]  # mean 6.75: 0.42 of a level; rounded first: three of four are 1
    pixels[2:, :2] = [[15, 15], [15, 0]]  # mean 11.25: 0.70 of a level; cut downwards first: all are 0
    assert decode(dicom(pixels), 2).tolist() == [[0, 255], [1, 255]]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize(("kind", "bits"), [(np.uint8, 8), (np.uint16, 12), (np.uint16, 16)])
def test_lossless_compression_changes_no_pixel(tmp_path, syntax, kind, bits):
    pixels = np.random.default_rng(0).integers(0, 1 << bits, (40, 30)).astype(kind)
    plain = dicom(pixels, bits)
    coded = recoded(plain, syntax, tmp_path)
    assert pydicom.dcmread(io.BytesIO(coded)).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(decode_whole(coded), decode_whole(plain))


def test_the_mark_tells_dicom_whatever_its_name(tmp_path):
    for name in ("image.dcm", "image", "image.png"):
        (tmp_path / name).write_bytes(dicom(RAMP))
        assert dimensions(tmp_path / name) == (4, 4)
        assert np.array_equal(decode_whole(tmp_path / name), decode_whole(dicom(RAMP)))
