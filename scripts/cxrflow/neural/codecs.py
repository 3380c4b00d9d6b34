"""Other ways to make a radiograph small: JPEG and down-sampling, and what comes back from their bytes."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxrflow.errors import UserError

Pixels = NDArray[np.uint8]


def coded(image: Pixels, codec: str) -> tuple[bytes, Pixels]:
    """Return the file that a codec makes of a grey image (S, S) uint8, and the image (S, S) that comes back from it.

    `jpeg_<quality>`: grey JPEG with Huffman tables made for the image. `side_<pixels>`: averaged down to a smaller
    square, stored as grey PNG, brought back to S x S by bicubic interpolation. Raises UserError for any other name,
    and for a side above S.
    """
    kind, setting = codec_parts(codec)
    if kind == "jpeg":
        content = encoded(image, "JPEG", quality=setting)
        return content, decoded(content)
    if setting > len(image):
        raise UserError(
            f"The codec {codec} makes images of {len(image)} x {len(image)} pixels larger, not smaller.",
            "Choose neural.codecs.sides up to neural.data.image_size.",
        )
    small = Image.fromarray(image).resize((setting, setting), Image.Resampling.BOX)
    content = encoded(np.asarray(small), "PNG")
    back = Image.fromarray(decoded(content)).resize((len(image), len(image)), Image.Resampling.BICUBIC)
    return content, np.asarray(back)


def codec_parts(codec: str) -> tuple[str, int]:
    """Return kind and setting of a codec, e.g. ("jpeg", 10) or ("side", 24); raise UserError where there is none."""
    kind, _, setting = codec.partition("_")
    if kind not in ("jpeg", "side") or not setting.isdecimal() or int(setting) == 0:
        raise UserError(
            f"There is no codec {codec!r}.", "Codecs are jpeg_<quality> and side_<pixels>, as jpeg_10 and side_24."
        )
    return kind, int(setting)


def encoded(image: Pixels, form: str, **options: int) -> bytes:
    """Return a grey image as a file of PIL's format `form`, packed as tightly as it can be without further loss."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=form, optimize=True, **options)
    return buffer.getvalue()


def decoded(content: bytes) -> Pixels:
    """Return the pixels of a grey image file."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)
