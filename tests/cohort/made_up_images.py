"""Made-up image files, and the memory that a piece of work takes."""

import gc
import io
import struct
import tracemalloc
import zlib

import gdcm
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

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


NOISE = np.random.default_rng(2).integers(0, 256, (64, 64), dtype=np.uint8)


def jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG")
    return buffer.getvalue()


def peak_bytes(work):
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bombs():
    """Yield files that promise absurdly many pixels: PNG, JPEG, a JPEG just too large, DICOM."""
    size = struct.pack(">II", 30_000, 30_000)
    rows = zlib.compress(bytes(100_000))
    yield b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + b"\x08\0\0\0\0") + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    small = jpeg(np.tile(NOISE, (4, 4)))
    place = small.index(b"\xff\xc0") + 5
    yield small[:place] + struct.pack(">HH", 30_000, 30_000) + small[place + 4 :]
    yield small[:place] + struct.pack(">HH", 8_001, 8_000) + small[place + 4 :]  # below the limit of PIL itself
    yield dicom(RAMP, Rows=30_000, Columns=30_000)
