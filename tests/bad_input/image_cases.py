"""Bad image files: JPEG and PNG in MIMIC-CXR-JPG's tree, DICOM in MIMIC-CXR's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from pydicom.uid import DeflatedExplicitVRLittleEndian, HTJ2KLossless
from tests.bad_input import mimic_cases
from tests.bad_input.case import Area, Case, error, row, whole_way
from tests.cohort.conftest import ROWS, Tree
from tests.cohort.made_up_images import bombs, chunk, dataset, dicom, jpeg, png, written

from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.layouts import DICOM_LIST

NOISE = np.random.default_rng(0).integers(0, 4000, (40, 40), dtype=np.uint16)
GREY = (NOISE // 16).astype(np.uint8)
PNG_BOMB, JPEG_BOMB, _, DICOM_BOMB = bombs()
BROKEN, PIXELS = "the image is broken or cut off", "the image has more than 64,000,000 pixels"


def picture(content: bytes) -> Callable[[Tree], int]:
    """Put bytes in place of an image."""
    return lambda made: made.image("b-1", "10000002", "50000002").write_bytes(content)


def no_picture(made: Tree) -> None:
    made.image("b-1", "10000002", "50000002").unlink()


def folder_for_picture(made: Tree) -> None:
    no_picture(made)
    made.image("b-1", "10000002", "50000002").mkdir()


def dicom_tree(folder: Path) -> Tree:
    made = mimic_cases.tree(folder)
    for image, patient, study, _, _ in ROWS:
        radiograph(made, image, patient, study).write_bytes(dicom(NOISE))
    return made


def radiograph(made: Tree, image: str = "b-1", patient: str = "10000002", study: str = "50000002") -> Path:
    return made.dicom / f"files/p{patient[:2]}/p{patient}/s{study}/{image}.dcm"


def read_dicom(made: Tree) -> list[str]:
    return whole_way("mimic-cxr-dicom", Source(made.dicom, made.root, made.reports), made.root.parent)


def file(content: bytes) -> Callable[[Tree], int]:
    return lambda made: radiograph(made).write_bytes(content)


def records(edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Tree], None]:
    return lambda made: edit(made.records()).to_csv(made.dicom / DICOM_LIST, index=False)


def without_pixels() -> bytes:
    image = dataset(NOISE)
    for name in ("Rows", "Columns", "PixelData"):
        delattr(image, name)
    return written(image)


def headers_alone() -> bytes:
    image = dataset(NOISE)
    del image.PixelData
    return written(image)


def with_syntax(syntax: str) -> bytes:
    image = dataset(NOISE)
    image.file_meta.TransferSyntaxUID = syntax
    if syntax == HTJ2KLossless:
        from pydicom.encaps import encapsulate

        image.PixelData = encapsulate([bytes(100)])
        image["PixelData"].is_undefined_length = True
    return written(image)


def png_with_alpha_of_16_bits() -> bytes:
    import struct
    import zlib

    rows = b"".join(b"\0" + bytes(range(16)) for _ in range(4))
    header = struct.pack(">II", 4, 4) + bytes([16, 4, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURES: tuple[Case, ...] = (
    row("a missing file", "*.jpg", "the image file is missing", no_picture),
    row("an empty file", "*.jpg", "the image file is empty", picture(b"")),
    row("a folder in place of a file", "*.jpg", "the image file is missing", folder_for_picture),
    row("a text", "*.jpg", "the file is not a JPEG, PNG or DICOM image", picture(b"no image at all")),
    row("a GIF", "*.jpg", "the file is not a JPEG, PNG or DICOM image", picture(b"GIF89a" + bytes(200))),
    row("a JPEG that is cut off", "*.jpg", BROKEN, picture(jpeg(GREY)[:-200])),
    row("a PNG that is cut off", "*.jpg", BROKEN, picture(png(GREY)[:-200])),
    row("one grey value everywhere", "*.jpg", "the image is flat: one grey value everywhere",
        picture(png(np.full((40, 40), 7, np.uint8)))),
    row("a PNG that claims 900 million pixels", "*.jpg", PIXELS, picture(PNG_BOMB)),
    row("a JPEG that claims 900 million pixels", "*.jpg", PIXELS, picture(JPEG_BOMB)),
    row("16 bits with transparency", "*.jpg", "the PNG has 16 bits with colour or transparency",
        picture(png_with_alpha_of_16_bits())),
)  # fmt: skip
DICOM: tuple[Case, ...] = (
    row("no pixels and no size", "*.dcm", "the DICOM file holds no image", file(without_pixels())),
    row("a size without pixels", "*.dcm", BROKEN, file(headers_alone())),
    row("a file that is cut off", "*.dcm", BROKEN, file(dicom(NOISE)[:-200])),
    row("several frames", "*.dcm", "the DICOM file holds several frames", file(dicom(NOISE, NumberOfFrames=2))),
    row("colour", "*.dcm", "the DICOM image is not grey (neither MONOCHROME1 nor MONOCHROME2)",
        file(dicom(NOISE, PhotometricInterpretation="RGB"))),
    row("900 million pixels by the header", "*.dcm", PIXELS, file(dicom(NOISE, Rows=30_000, Columns=30_000))),
    row("a compression that nobody decodes", "*.dcm", "no installed decoder reads the DICOM transfer syntax",
        file(with_syntax(HTJ2KLossless))),
    row("a deflated file", "*.dcm", "no installed decoder reads the DICOM transfer syntax",
        file(with_syntax(DeflatedExplicitVRLittleEndian))),
    row("DICOM's mark and nothing else", "*.dcm", "the DICOM file does not name its transfer syntax",
        file(bytes(128) + b"DICM")),
    row("an image that the list of records lacks", DICOM_LIST, "the list of records lacks the image",
        records(lambda table: table.iloc[1:])),
    row("an image that the list of records has twice", DICOM_LIST, "the image's id is not unique",
        records(lambda table: pd.concat([table, table.iloc[[0]]]))),
    row("a record without a path", DICOM_LIST, "the list of records lacks the image",
        records(lambda table: table.assign(path=[None, *table["path"][1:]]))),
    error("a path that climbs out of the root", DICOM_LIST, "leads out of",
          records(lambda table: table.assign(path="../../" + table["path"]))),
    error("an absolute path", DICOM_LIST, "leads out of", records(lambda table: table.assign(path="/etc/passwd"))),
)  # fmt: skip
IMAGES = (
    Area("Images: JPEG and PNG", mimic_cases.tree, mimic_cases.read, PICTURES),
    Area("Images: DICOM", dicom_tree, read_dicom, DICOM),
)
