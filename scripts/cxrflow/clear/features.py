"""From slices to features: a file per patient, made once, and all of them in one store for training.

The files of patients stay where they are when the job ends, fails or runs again: a patient whose file has the same
origin (encoder, arithmetic, pixels, code) is not looked at again.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cxrflow.clear.downstream_settings import FeatureSettings
from cxrflow.clear.feature_store import PatientFeatures, write_store
from cxrflow.clear.patient_files import Origin, is_current, patient_file, read_patient, write_patient
from cxrflow.clear.slice_encoders import EncoderChoice, FeatureEncoder
from cxrflow.clear.slice_order import slices_in_order
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.store import ImageStore
from cxrflow.files import write_table
from cxrflow.provenance import write_list
from cxrflow.radiographs import read_images
from cxrflow.training import arithmetic, fingerprint, prepare_torch, this_device

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureFiles:
    """The store (an array and its index), the table of the patients' files, their checksums, and their folder."""

    features: Path
    index: Path
    table: Path
    checksums: Path
    folder: Path


def extract_features(
    cohort: CohortFiles,
    choice: EncoderChoice,
    outputs: FeatureFiles,
    settings: FeatureSettings,
    window: Sequence[float] | None,
    threads: int,
    code: list[str],
) -> None:
    """Write the features of all decoded slices; `window` (HU) is what the store's pixels were shown through.

    Beside the store: a table with patient_id, slices, file (its name in the folder) and encoder_sha256 per patient, and
    the checksums of the files as sha256sum lists them: they are no outputs of the job, and verified through this list.
    """
    prepare_torch(threads)
    encoder, store = choice.build(), cohort.store()
    sha256 = encoder.sha256()
    pixels = {"window": window, "sides": list(store.images.shape[1:])}
    facts = {"encoder": sha256, "arithmetic": arithmetic(settings.precision), **pixels}
    made_by, sources = fingerprint(facts, code), store.index.set_index("image_id")["sha256"]
    patients = {str(patient): own for patient, own in slices_in_order(cohort).groupby("patient_id", sort=False)}
    files = {patient: patient_file(outputs.folder, patient) for patient in patients}
    origins = {
        patient: Origin(choice.name, sha256, _digest(made_by, own, sources)) for patient, own in patients.items()
    }
    missing = [patient for patient, origin in origins.items() if not is_current(files[patient], origin.fingerprint)]
    logger.info("%d of %d patients have features already.", len(patients) - len(missing), len(patients))
    encoder.to(this_device())
    for patient in missing:
        found = features_of(encoder, store, patients[patient], settings)
        write_patient(files[patient], patient, found, origins[patient])
    sizes = [len(own) for own in patients.values()]
    found_again = (read_patient(file) for file in files.values())
    write_store(outputs.features, outputs.index, list(patients), found_again, sizes, encoder.width, sha256)
    names = [file.name for file in files.values()]
    about = {"patient_id": list(patients), "slices": sizes, "file": names, "encoder_sha256": sha256}
    write_table(outputs.table, pd.DataFrame(about))
    write_list(outputs.checksums, files.values())


@torch.no_grad()
def features_of(
    network: FeatureEncoder, store: ImageStore, slices: pd.DataFrame, settings: FeatureSettings
) -> PatientFeatures:
    """Return the features of some slices of one patient; batches never hold another patient's.

    So they are the same to the last bit whichever patients were missing. The network is in evaluation mode: in CLEAR's
    scripts it was not, and normalisation saw one slice at a time.
    """
    device = next(network.buffers()).device
    bf16 = arithmetic(settings.precision) == "bf16"
    rows, parts = store.rows(slices["image_id"]), []
    for start in range(0, len(rows), settings.batch_size):
        images = read_images(store.images, rows[start : start + settings.batch_size]).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            parts.append(network(images).float().cpu().numpy())
    return PatientFeatures(np.concatenate(parts), slices["image_id"].tolist(), slices["study_id"].tolist())


def _digest(made_by: str, slices: pd.DataFrame, sources: pd.Series) -> str:
    """Return a digest of what the features of a patient depend on: `made_by`, the slices' ids and source files."""
    ids = zip(slices["image_id"], slices["study_id"], sources.loc[slices["image_id"]], strict=True)
    return hashlib.sha256("\n".join([made_by, *("\t".join(parts) for parts in ids)]).encode()).hexdigest()
