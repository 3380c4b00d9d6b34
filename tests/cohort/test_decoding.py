import contextlib
import gc
import io
import struct
import subprocess
import sys
import tracemalloc
import zlib

import gdcm
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import apply_windowing
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from cxrflow.cohort.decoding import decode, decode_whole, dimensions
from cxrflow.cohort.dicom import coded_size, grey_of_stored
from cxrflow.cohort.unreadable import UnreadableImageError

RAMP = np.arange(16, dtype=np.uint16).reshape(4, 4)


def png(pixels, mode=None):
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode).save(buffer, format="PNG")
    return buffer.getvalue()


def dataset(pixels, bits=12, **attributes):
    """A single grey image as secondary capture, with the attributes that matter to its grey values."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    image.PatientID = "secret-patient"
    image.Rows, image.Columns = pixels.shape[:2]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 8 * pixels.itemsize, bits, bits - 1
    image.PixelRepresentation = int(pixels.dtype.kind == "i")
    image.PixelData = pixels.tobytes()
    for name, value in attributes.items():
        setattr(image, name, value)
    image["PixelData"].VR = "OW"
    return image


def written(image):
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def dicom(pixels, bits=12, **attributes):
    return written(dataset(pixels, bits, **attributes))


def lookup_table(first, depth, entries, kind="US"):
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, depth]
    item["LUTDescriptor"].VR = kind
    item.LUTData = entries
    item["LUTData"].VR = "US"
    return item


def recoded(content, syntax, folder):
    """The same file in another transfer syntax, as GDCM's own encoder writes it."""
    (folder / "plain.dcm").write_bytes(content)
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(folder / "plain.dcm"))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(folder / "coded.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return (folder / "coded.dcm").read_bytes()


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


# --- 8 bits ---------------------------------------------------------------------------------------------------------


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


# --- 16-bit PNG -----------------------------------------------------------------------------------------------------


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


# --- DICOM ----------------------------------------------------------------------------------------------------------


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


# --- dimensions -----------------------------------------------------------------------------------------------------


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
    assert _peak_bytes(lambda: dimensions(tmp_path / "image.dcm")) < 1_000_000  # the pixels take 8,000,000
    header = (tmp_path / "image.dcm").read_bytes()[:2000]
    (tmp_path / "header.dcm").write_bytes(header)
    assert dimensions(tmp_path / "header.dcm") == (2000, 2000)


# --- refusals -------------------------------------------------------------------------------------------------------

NOISE = np.random.default_rng(2).integers(0, 256, (64, 64), dtype=np.uint8)


def jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG")
    return buffer.getvalue()


def refusal(content):
    with pytest.raises(UnreadableImageError) as raised:
        decode(content, 16)
    return str(raised.value)


@pytest.mark.parametrize("make", [png, jpeg, lambda pixels: png(pixels.astype(np.uint16)), lambda p: dicom(p, 8)])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_a_truncated_file_is_refused(make, share):
    content = make(NOISE)
    assert "broken or cut off" in refusal(content[: int(share * len(content))])


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless])
def test_a_truncated_compressed_dicom_is_refused(tmp_path, syntax):
    content = recoded(dicom(NOISE, 8), syntax, tmp_path)
    assert refusal(content[: int(0.6 * len(content))])


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless])
def test_a_compressed_image_of_another_size_than_its_header_is_refused(tmp_path, syntax):
    image = pydicom.dcmread(io.BytesIO(recoded(dicom(NOISE, 8), syntax, tmp_path)))
    assert coded_size(get_frame(image.PixelData, 0, number_of_frames=1)) == NOISE.shape
    image.Rows = 32
    assert "differ in size" in refusal(written(image))


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.dcm").touch()
    assert refusal(b"") == "the image file is empty"
    with pytest.raises(UnreadableImageError, match="empty"):
        dimensions(tmp_path / "empty.dcm")


@pytest.mark.parametrize("content", [b"GIF89a" + bytes(200), b"%!PS-Adobe\n", b"text", bytes(1000)])
def test_what_is_no_image_is_refused(tmp_path, content):
    assert refusal(content) == "the file is not a JPEG, PNG or DICOM image"
    (tmp_path / "image.jpg").write_bytes(content)
    with pytest.raises(UnreadableImageError, match="not a JPEG, PNG or DICOM"):
        dimensions(tmp_path / "image.jpg")


def _peak_bytes(work):
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _bombs():
    size = struct.pack(">II", 30_000, 30_000)
    rows = zlib.compress(bytes(100_000))
    yield b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + b"\x08\0\0\0\0") + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    small = jpeg(np.tile(NOISE, (4, 4)))
    place = small.index(b"\xff\xc0") + 5
    yield small[:place] + struct.pack(">HH", 30_000, 30_000) + small[place + 4 :]
    yield small[:place] + struct.pack(">HH", 8_001, 8_000) + small[place + 4 :]  # below the limit of PIL itself
    yield dicom(RAMP, Rows=30_000, Columns=30_000)


@pytest.mark.parametrize("bomb", list(_bombs()), ids=["png", "jpeg", "just too large", "dicom"])
def test_absurdly_many_pixels_are_refused_from_the_header(tmp_path, bomb):
    assert refusal(bomb) == "the image has more than 64,000,000 pixels"
    (tmp_path / "bomb").write_bytes(bomb)
    with pytest.raises(UnreadableImageError, match="more than 64,000,000"):
        dimensions(tmp_path / "bomb")


def test_absurdly_many_pixels_take_no_memory(root, tmp_path):
    names = []
    for number, bomb in enumerate(_bombs()):
        names.append(str(tmp_path / str(number)))
        (tmp_path / str(number)).write_bytes(bomb)
    code = """if True:
        import resource, sys
        from pathlib import Path
        import cxrflow.cohort.dicom
        from cxrflow.cohort.decoding import decode
        from cxrflow.cohort.unreadable import UnreadableImageError
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name in sys.argv[1:]:
            try:
                decode(Path(name), 16)
            except UnreadableImageError as error:
                print(error)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kilobytes
    """
    run = [sys.executable, "-W", "ignore", "-c", code, *names]
    done = subprocess.run(run, env={"PYTHONPATH": str(root / "scripts")}, capture_output=True, text=True)
    assert not done.stderr
    assert done.stdout.splitlines() == ["the image has more than 64,000,000 pixels"] * len(names)


def test_text_that_inflates_without_end_is_refused():
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "a" * 100_000_000, zip=True)
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, format="PNG", pnginfo=info)
    assert "broken or cut off" in refusal(buffer.getvalue())


@pytest.mark.parametrize(
    "content",
    [
        png(np.full((20, 20), 100, np.uint8)),
        jpeg(np.zeros((20, 20), np.uint8)),
        png(np.full((20, 20), 30000, np.uint16)),
        dicom(np.full((20, 20), 7, np.uint16)),
        dicom(RAMP, WindowCenter=3000, WindowWidth=10),
        dicom(np.array([[0, 7], [7, 7]], np.uint16), PixelPaddingValue=0),
    ],
    ids=["png", "jpeg", "16 bits", "dicom", "black by its window", "flat beside padding"],
)
def test_a_flat_image_is_refused(content):
    assert "flat" in refusal(content)


def test_several_frames_are_refused():
    assert "several frames" in refusal(dicom(RAMP, NumberOfFrames=2))


@pytest.mark.parametrize("colour", ["RGB", "PALETTE COLOR", "YBR_FULL_422"])
def test_colour_dicom_is_refused(colour):
    assert "not grey" in refusal(dicom(RAMP, PhotometricInterpretation=colour))


@pytest.mark.parametrize("syntax", [HTJ2KLossless, DeflatedExplicitVRLittleEndian])
def test_a_transfer_syntax_without_decoder_is_named(tmp_path, syntax):
    image = dataset(RAMP)
    image.file_meta.TransferSyntaxUID = syntax
    if syntax == HTJ2KLossless:
        image.PixelData = encapsulate([bytes(100)])
        image["PixelData"].is_undefined_length = True
    assert syntax.name in refusal(written(image))
    (tmp_path / "image.dcm").write_bytes(written(image))
    with pytest.raises(UnreadableImageError, match="no installed decoder"):
        dimensions(tmp_path / "image.dcm")


def test_dicom_without_an_image_is_refused():
    image = dataset(RAMP)
    for name in ("Rows", "Columns", "PixelData"):
        delattr(image, name)
    assert "no image" in refusal(written(image))


def test_16_bits_with_transparency_are_refused():
    rows = b"".join(b"\0" + bytes(range(16)) for _ in range(4))
    header = struct.pack(">II", 4, 4) + bytes([16, 4, 0, 0, 0])
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert "16 bits with colour" in refusal(b"\x89PNG\r\n\x1a\n" + content)


def test_nothing_of_the_file_is_told(tmp_path, caplog, recwarn):
    image = dataset(RAMP, PatientAge="secret-age", StudyDate="secret-date")
    image.file_meta.MediaStorageSOPInstanceUID = "secret-uid"
    path = tmp_path / "secret-name.dcm"
    path.write_bytes(written(image)[:-200])
    for work in (lambda: dimensions(path), lambda: decode(path, 4)):
        with contextlib.suppress(UnreadableImageError):
            work()
    assert "secret" not in refusal(path)
    assert "secret" not in caplog.text
    assert not [warning for warning in recwarn if "secret" in str(warning.message)]
