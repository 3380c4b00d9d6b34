"""What is no whole image of a sensible size is refused, with the reason."""

import contextlib
import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image, PngImagePlugin
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from tests.cohort.made_up_images import NOISE, RAMP, bombs, chunk, dataset, dicom, jpeg, png, recoded, written

from cxrflow.cohort.decoding import decode, dimensions
from cxrflow.cohort.dicom import coded_size
from cxrflow.cohort.unreadable import UnreadableImageError


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


@pytest.mark.parametrize("bomb", list(bombs()), ids=["png", "jpeg", "just too large", "dicom"])
def test_absurdly_many_pixels_are_refused_from_the_header(tmp_path, bomb):
    assert refusal(bomb) == "the image has more than 64,000,000 pixels"
    (tmp_path / "bomb").write_bytes(bomb)
    with pytest.raises(UnreadableImageError, match="more than 64,000,000"):
        dimensions(tmp_path / "bomb")


def test_absurdly_many_pixels_take_no_memory(root, tmp_path):
    names = []
    for number, bomb in enumerate(bombs()):
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
