"""A whole simulated cohort on disk, made by several processes, resumable at any image."""

import hashlib
import json
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path

from cxrflow.cohort.openi import installed_archive, read_openi
from cxrflow.cohort.simulation.anatomy import Anatomy, is_saved, load_anatomy, save_anatomy
from cxrflow.cohort.simulation.landmarks import Landmarks, find_landmarks
from cxrflow.cohort.simulation.mimic_tree import IMAGES, REPORTS, SUMS, write_reports, write_sums, write_tables
from cxrflow.cohort.simulation.phantom import phantom_anatomy
from cxrflow.cohort.simulation.projection import Box
from cxrflow.cohort.simulation.rendering import MarkedBox, render_study, study_view
from cxrflow.cohort.simulation.scan import scan_folder, scanned_anatomy
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.studies import Study, plan_studies
from cxrflow.files import sha256, write_bytes, write_json

logger = logging.getLogger(__name__)

ANATOMY, RECORDS, FINGERPRINT = "simulation/anatomy", "simulation/boxes", "simulation.json"
STUDIES_PER_TASK = 20


def simulate_cohort(root: Path, settings: SimulationSettings, workers: int) -> None:
    """Write the cohort below `root`: `mimic-cxr-jpg/` (images, tables, boxes, checksums) and `mimic-cxr/` (reports).

    Beside them lie `simulation.json`, a fingerprint of settings and code, and `simulation/`, the cached anatomy and the
    boxes of each finished study. An image that is there is kept; a tree of another fingerprint is removed first.
    """
    reports = read_openi(installed_archive())
    studies = plan_studies(reports, settings)
    _prepare(root, settings)
    if not is_saved(root / ANATOMY):
        save_anatomy(build_anatomy(settings), root / ANATOMY)
    (root / IMAGES / SUMS).unlink(missing_ok=True)
    tasks = [studies[start : start + STUDIES_PER_TASK] for start in range(0, len(studies), STUDIES_PER_TASK)]
    for count, _ in enumerate(_map(partial(make_studies, root, settings), tasks, workers), start=1):
        if count % 10 == 0 or count == len(tasks):
            logger.info("%d of %d studies are simulated.", min(count * STUDIES_PER_TASK, len(studies)), len(studies))
    write_reports(root / REPORTS, studies)
    views = {
        dicom_id: study_view(study, image, settings)
        for study in studies
        for image, dicom_id in enumerate(study.dicom_ids)
    }
    boxes = {dicom_id: found for study in studies for dicom_id, found in _read_record(root, study).items()}
    write_tables(root / IMAGES, studies, views, boxes, settings.size)
    write_sums(root / IMAGES)


def build_anatomy(settings: SimulationSettings) -> Anatomy:
    """Return the undeformed chest that the settings name."""
    return phantom_anatomy() if settings.anatomy == "phantom" else scanned_anatomy(scan_folder())


def make_studies(root: Path, settings: SimulationSettings, studies: list[Study]) -> int:
    """Render the images of `studies` that are not there yet; return how many were made."""
    return sum(_make_study(root, settings, study) for study in studies)


def _make_study(root: Path, settings: SimulationSettings, study: Study) -> int:
    paths = [root / IMAGES / study.image_path(dicom_id) for dicom_id in study.dicom_ids]
    recorded = _record_path(root, study).exists()
    absent = [image for image, path in enumerate(paths) if not (recorded and path.exists())]
    if not absent:
        return 0
    anatomy, landmarks = _chest(root)
    wanted = absent if recorded else list(range(len(paths)))
    rendered = render_study(study, wanted, anatomy, landmarks, settings)
    if not recorded:
        found = {study.dicom_ids[image]: one.boxes for image, one in zip(wanted, rendered, strict=True)}
        write_json(_record_path(root, study), {name: [asdict(box) for box in boxes] for name, boxes in found.items()})
    for image, one in zip(wanted, rendered, strict=True):
        write_bytes(paths[image], one.jpeg)
    return len(wanted)


_CHESTS: dict[Path, tuple[Anatomy, Landmarks]] = {}


def _chest(root: Path) -> tuple[Anatomy, Landmarks]:
    """Anatomy of the cohort at `root`, read once per process."""
    if root not in _CHESTS:
        _CHESTS.clear()
        anatomy = load_anatomy(root / ANATOMY)
        _CHESTS[root] = (anatomy, find_landmarks(anatomy))
    return _CHESTS[root]


def _map(function: partial[int], tasks: list[list[Study]], workers: int) -> Iterator[int]:
    """Map over tasks in one thread per process: more would make results depend on the machine."""
    if workers == 1:
        _single_thread()
        _CHESTS.clear()
        yield from map(function, tasks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        yield from pool.map(function, tasks)


def _start_worker() -> None:
    """Use one thread, and end with the parent: a worker left behind by a killed run would go on writing."""
    _single_thread()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _single_thread() -> None:
    import torch

    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


def _prepare(root: Path, settings: SimulationSettings) -> None:
    """Remove what other settings or other code made, then leave the fingerprint of these."""
    wanted = {"settings": settings.model_dump(mode="json"), "code": _code_hash()}
    path = root / FINGERPRINT
    found = json.loads(path.read_text()) if path.exists() else None
    if found == wanted:
        return
    for name in (IMAGES, REPORTS, "simulation"):
        if (root / name).exists():
            if found is not None:
                logger.info("%s was made with other settings or other code: it is made anew.", root / name)
            shutil.rmtree(root / name)
    write_json(path, wanted)


def _code_hash() -> str:
    """Hash of this package and of the reading of reports: whatever decides what an image looks like."""
    here = Path(__file__).parent
    drawing = [path for path in sorted(here.glob("*.py")) if path.name != "contact_sheet.py"]
    files = [*drawing, here.parent / "openi.py", here.parent / "openi_index.py"]
    return hashlib.sha256("".join(sha256(path) for path in files).encode()).hexdigest()


def _record_path(root: Path, study: Study) -> Path:
    return root / RECORDS / f"{study.study_id}.json"


def _read_record(root: Path, study: Study) -> dict[str, tuple[MarkedBox, ...]]:
    record = json.loads(_record_path(root, study).read_text())
    return {
        dicom_id: tuple(MarkedBox(one["label"], one["text"], Box(**one["box"])) for one in record[dicom_id])
        for dicom_id in study.dicom_ids
    }
