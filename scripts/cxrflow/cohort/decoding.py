"""Radiographs of any public format as 8-bit grey, and the reasons for which a file is refused.

JPEG and PNG of 8 bits are taken as they are (colour by its luma, transparency ignored). The minimum and maximum of a
16-bit PNG become 0 and 255; where it stores Hounsfield units, the ends of a window do. DICOM is brought to 0..255 as
`cxrflow.cohort.dicom` says. Deep images are averaged over area before they are rounded to 8 bits.
"""

import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxrflow.cohort.hounsfield import Window, windowed
from cxrflow.cohort.unreadable import MAXIMUM_PIXELS, TOO_LARGE, UnreadableImageError

# Raised whenever the same file would give other pixels: stores begun under another rule are not continued.
RULE = 2

EMPTY = "the image file is empty"
FLAT = "the image is flat: one grey value everywhere"


def decoding_rule() -> str:
    """Return what the decoded pixels depend on besides the file: the rule and the decoders' versions."""
    return " ".join([f"rule {RULE}", *(f"{name} {_version(name)}" for name in ("pillow", "pydicom", "python-gdcm"))])


def dimensions(path: Path) -> tuple[int, int]:
    """Return (height, width) in pixels from the file's header; no pixel is read. Raises UnreadableImageError."""
    with path.open("rb") as stream, _told():
        if not stream.read(1):
            raise UnreadableImageError(EMPTY)
        if _is_dicom(stream):
            # A map has no name: pydicom puts the names of files into its warnings.
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _dicom_dimensions(content)
        with _opened(stream) as image:
            return image.height, image.width


def decode(source: Path | bytes, size: int, window: Window | None = None) -> NDArray[np.uint8]:
    """Return the image of a file, or of its content, as (size, size) grey, averaged over the area of each pixel.

    The aspect ratio is not kept (as NEURAL resizes its input to a square). With a `window` (HU) a 16-bit PNG holds
    Hounsfield units as DeepLesion stores them. Raises UnreadableImageError where the file is not a whole, reasonable
    image.
    """
    image = _grey_image(
        source, (2 * size, 2 * size), window
    )  # JPEG decodes at a fraction of its size where that is enough
    return _rounded(image.resize((size, size), Image.Resampling.BOX))


def decode_whole(source: Path | bytes) -> NDArray[np.uint8]:
    """Return the image of a file, or of its content, as (height, width) grey. Raises UnreadableImageError."""
    return _rounded(_grey_image(source, None))


def _grey_image(source: Path | bytes, at_least: tuple[int, int] | None, window: Window | None = None) -> Image.Image:
    """Return the image in mode L (8 bits), or in mode F (0..255, not rounded) where the source is deeper."""
    content = source if isinstance(source, bytes) else source.read_bytes()
    if not content:
        raise UnreadableImageError(EMPTY)
    with _told():
        stream = io.BytesIO(content)
        image = _radiograph(stream) if _is_dicom(stream) else _picture(content, at_least, window)
    lowest, highest = image.getextrema()
    if lowest == highest:
        raise UnreadableImageError(FLAT)
    return image


def _rounded(image: Image.Image) -> NDArray[np.uint8]:
    values = np.asarray(image)
    return values if values.dtype == np.uint8 else np.rint(values.clip(0, 255)).astype(np.uint8)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what the decoders raise into a reason; their own messages may hold paths or values of the file."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableImageError(TOO_LARGE) from None
    except (UnreadableImageError, MemoryError):
        raise
    except Exception as error:  # decoders of foreign files raise anything, from struct.error to zlib.error
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the file
        raise UnreadableImageError(f"the image is broken or cut off ({type(error).__name__})") from None


def _is_dicom(stream: BinaryIO) -> bool:
    """Tell whether the stream has DICOM's mark, and rewind it."""
    stream.seek(128)
    mark = stream.read(4)
    stream.seek(0)
    return mark == b"DICM"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _opened(stream: BinaryIO) -> Image.Image:
    try:
        image = Image.open(stream, formats=("JPEG", "PNG"))
    except Image.UnidentifiedImageError:
        raise UnreadableImageError("the file is not a JPEG, PNG or DICOM image") from None
    if image.width * image.height > MAXIMUM_PIXELS:
        raise UnreadableImageError(TOO_LARGE)
    return image


def _picture(content: bytes, at_least: tuple[int, int] | None, window: Window | None) -> Image.Image:
    with _opened(io.BytesIO(content)) as image:
        if image.format == "PNG" and content[24] == 16 and content[25] != 0:  # bit depth and colour type (IHDR)
            raise UnreadableImageError("the PNG has 16 bits with colour or transparency")
        if image.mode.startswith("I"):
            pixels = np.asarray(image)
            return _stretched(pixels) if window is None else Image.fromarray(windowed(pixels, window))
        image.draft("L", at_least or image.size)
        return image.convert("L")


def _stretched(pixels: NDArray[Any]) -> Image.Image:
    """Map the minimum and maximum of a deep image to 0 and 255."""
    lowest, highest = int(pixels.min()), int(pixels.max())
    values = pixels.astype(np.float32)
    values -= lowest
    values *= 255 / max(highest - lowest, 1)
    return Image.fromarray(values)


def _dicom_dimensions(stream: Any) -> tuple[int, int]:
    from cxrflow.cohort.dicom import read_header  # pydicom is imported where there is DICOM only

    header = read_header(stream)
    return int(header.Rows), int(header.Columns)


def _radiograph(stream: BinaryIO) -> Image.Image:
    from cxrflow.cohort.dicom import read_grey

    return Image.fromarray(read_grey(stream))
