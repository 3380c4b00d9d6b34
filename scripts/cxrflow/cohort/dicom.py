"""Single grey DICOM images as 0..255, by the grey-scale chain of the standard (PS3.3 C.11.1, C.11.2 and C.7.6.3.1.2).

Stored values pass the modality table or the rescale; then the first VOI table, else the first usable window (linear,
linear exact or sigmoid), else the minimum and maximum of the image without its padding, set the ends of 0..255;
MONOCHROME1 is inverted. The chain is a function of the stored value alone, so it is computed once for each possible
value and looked up for each pixel.
"""

import logging
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels import apply_modality_lut, apply_voi, get_decoder, pixel_array
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from cxrflow.cohort.unreadable import MAXIMUM_PIXELS, TOO_LARGE, UnreadableImageError

Values = NDArray[np.float64]

config.settings.reading_validation_mode = config.IGNORE  # its warnings quote values of the file
logging.getLogger("pydicom").setLevel(logging.ERROR)

_TAGS: list[Any] = [
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
]
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_ROWS_AT_ONCE = 256  # numpy widens an index to 8 bytes: in stripes that takes a few megabytes instead of hundreds


def read_header(stream: BinaryIO) -> Dataset:
    """Return what the header says about the pixels, without reading them.

    Raises UnreadableImageError where they can't be used: several frames, colour, too many pixels, or a transfer syntax
    that no installed decoder reads (asked first, before anything is read by it).
    """
    stream.seek(0)
    read_preamble(stream, force=False)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: tag.group > 2)
    _require_decoder(meta.get("TransferSyntaxUID"))
    stream.seek(0)
    header = dcmread(stream, stop_before_pixels=True, specific_tags=_TAGS)
    if not header.get("Rows") or not header.get("Columns"):
        raise UnreadableImageError("the DICOM file holds no image")
    if int(header.Rows) * int(header.Columns) > MAXIMUM_PIXELS:
        raise UnreadableImageError(TOO_LARGE)
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise UnreadableImageError("the DICOM file holds several frames")
    if header.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnreadableImageError("the DICOM image is not grey (neither MONOCHROME1 nor MONOCHROME2)")
    return header


def read_grey(stream: BinaryIO) -> NDArray[np.float32]:
    """Return the image as (rows, columns) in 0..255, not rounded. Raises what `read_header` and pydicom raise."""
    header = read_header(stream)
    if header.get("BitsAllocated") not in (8, 16):
        raise UnreadableImageError("the DICOM image has neither 8 nor 16 bits per pixel")
    pixels = _stored_pixels(stream, header)
    codes = pixels.view(f"u{pixels.itemsize}")
    stripes = [codes[row : row + _ROWS_AT_ONCE] for row in range(0, len(codes), _ROWS_AT_ONCE)]
    present = np.zeros(1 << (8 * codes.itemsize), dtype=bool)
    for stripe in stripes:
        present[stripe] = True
    stored = np.arange(len(present)).astype(codes.dtype).view(pixels.dtype).astype(np.int32)
    table = grey_of_stored(header, stored, present)
    return np.concatenate([table[stripe] for stripe in stripes])


def _stored_pixels(stream: BinaryIO, header: Dataset) -> NDArray[Any]:
    stream.seek(0)
    image = dcmread(stream)
    if image.file_meta.TransferSyntaxUID.is_encapsulated:
        size = coded_size(get_frame(image.PixelData, 0, number_of_frames=1))
        if size not in (None, (int(header.Rows), int(header.Columns))):  # the decoders would believe it
            raise UnreadableImageError("the DICOM header and its compressed image differ in size")
    return pixel_array(image, index=0, raw=True)


def coded_size(frame: bytes) -> tuple[int, int] | None:
    """Return (height, width) by the head of a JPEG, JPEG-LS or JPEG 2000 stream; None for other streams."""
    place = frame[:4096].find(b"\xff\x4f\xff\x51")  # JPEG 2000: start, then the sizes (T.800 A.5.1)
    if place >= 0:
        width, height, left, top = struct.unpack_from(">4I", frame, place + 8)
        return height - top, width - left
    place = 2 if frame.startswith(b"\xff\xd8") else len(frame)
    while place + 9 <= len(frame):  # JPEG: segments up to the frame header (T.81 B.2.2; T.87 for JPEG-LS)
        marker, length, height, width = struct.unpack_from(">xBHxHH", frame, place)
        if marker in _FRAME_HEADERS:
            return height, width
        place += 2 + length
    return None


def grey_of_stored(header: Dataset, stored: NDArray[np.int32], present: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the grey (0..255) of each stored value; `present` marks the values that the image holds."""
    values = apply_modality_lut(stored, header)
    grey = _by_voi_table(values, header)
    if grey is None:
        grey = _by_window(np.asarray(values, dtype=np.float64), header)
    if grey is None:
        grey = _by_range(np.asarray(values, dtype=np.float64), present & ~_is_padding(stored, header))
    if header.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    return (255 * grey.clip(0, 1)).astype(np.float32)


def _by_voi_table(values: NDArray[Any], header: Dataset) -> Values | None:
    if not header.get("VOILUTSequence"):
        return None
    bits = int(header.VOILUTSequence[0].LUTDescriptor[2])
    return np.asarray(apply_voi(np.rint(values).astype(np.int32), header), dtype=np.float64) / ((1 << bits) - 1)


def _by_window(values: Values, header: Dataset) -> Values | None:
    """Return 0..1 by the first window, or None where there is none, or one that its function does not allow."""
    centre, width = _first(header.get("WindowCenter")), _first(header.get("WindowWidth"))
    function = str(header.get("VOILUTFunction") or "LINEAR").upper()
    narrowest = {"LINEAR": 1.0, "LINEAR_EXACT": 1e-9, "SIGMOID": 1e-9}.get(function, np.inf)
    if centre is None or width is None or not width >= narrowest:
        return None
    if function == "SIGMOID":
        return 1 / (1 + np.exp((-4 * (values - centre) / width).clip(-500, 500)))
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return (values > centre).astype(np.float64)
    return ((values - centre) / width + 0.5).clip(0, 1)


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    values = [value] if isinstance(value, float | int | str) else list(value)
    return float(values[0]) if values else None


def _by_range(values: Values, present: NDArray[np.bool_]) -> Values:
    if not present.any():
        return np.zeros_like(values)
    lowest, highest = values[present].min(), values[present].max()
    return (values - lowest) / ((highest - lowest) or 1)


def _is_padding(stored: NDArray[np.int32], header: Dataset) -> NDArray[np.bool_]:
    """Mark the padding value, or the range from it to its limit (PS3.3 C.7.5.1.1.2)."""
    value = header.get("PixelPaddingValue")
    if value is None or value == "":
        return np.zeros(len(stored), dtype=bool)
    limit = header.get("PixelPaddingRangeLimit")
    ends = sorted([int(value), int(value if limit in (None, "") else limit)])
    return (stored >= ends[0]) & (stored <= ends[1])


def _require_decoder(syntax: UID | None) -> None:
    if syntax is None:
        raise UnreadableImageError("the DICOM file does not name its transfer syntax")
    try:
        # A deflated file would have to be inflated whole, to any size, before its header could be read.
        known = syntax != DeflatedExplicitVRLittleEndian and get_decoder(syntax).is_available
    except NotImplementedError:
        known = False
    if not known:
        raise UnreadableImageError(f"no installed decoder reads the DICOM transfer syntax {syntax.name}")
