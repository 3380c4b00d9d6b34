"""The features of one patient's slices as an HDF5 file, as CLEAR writes them, with what they were made by."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from cxrflow.clear.feature_store import PatientFeatures
from cxrflow.files import atomic_path, confined

_TEXTS = ("images", "studies")


@dataclass(frozen=True)
class Origin:
    """What a file was made by: the encoder's name, its SHA-256, and a digest of all that its content depends on."""

    encoder: str
    encoder_sha256: str
    fingerprint: str


def patient_file(folder: Path, patient: str) -> Path:
    """Return where the file of a patient lies."""
    return confined(folder, f"{patient}.h5")


def write_patient(path: Path, patient: str, found: PatientFeatures, origin: Origin) -> None:
    """Write `feats` (n, d) float32, the ids `images` and `studies` (n,), and the origin as attributes."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("feats", data=found.features, compression="gzip", compression_opts=1, shuffle=True)
        for name in _TEXTS:
            file.create_dataset(name, data=np.char.encode(np.array(getattr(found, name), dtype="U"), "utf-8"))
        file.attrs.update({"patient": patient, **vars(origin)})


def read_patient(path: Path) -> PatientFeatures:
    """Read what `write_patient` wrote."""
    with h5py.File(path, "r") as file:
        images, studies = (np.char.decode(file[name][:], "utf-8").tolist() for name in _TEXTS)
        return PatientFeatures(file["feats"][:], images, studies)


def is_current(path: Path, fingerprint: str) -> bool:
    """Return whether there is a whole file of this origin."""
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("fingerprint") == fingerprint)
    except OSError:  # absent, or no such file
        return False
