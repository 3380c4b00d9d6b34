"""A whole simulated cohort on disk, made by several processes, resumable at any image."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from cxrflow.cohort.simulation.checksums import SUMS, write_sums
from cxrflow.cohort.simulation.projection import Box
from cxrflow.cohort.simulation.rendering import MarkedBox
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.trees import TREES, Drawn, Tree
from cxrflow.files import sha256, write_bytes, write_json
from cxrflow.memory import keep_freed_memory
from cxrflow.workers import end_with_parent, worker_pool

logger = logging.getLogger(__name__)

RECORDS, FINGERPRINT = "simulation/boxes", "simulation.json"
SCENES_PER_TASK = 20
_MAKERS = ("chests.py", "ct_phantom.py", "ct_scan.py", "grain.py", "phantom.py", "scan.py")  # of the anatomy


def simulate_cohort(root: Path, chest: Path, layout: str, settings: SimulationSettings, workers: int) -> None:
    """Write a cohort in a layout of `TREES` below `root`: images, tables and, last, `{layout}/SHA256SUMS.txt`.

    `chest` is the file of the anatomy. Beside the tree lie `simulation.json`, a fingerprint of anatomy, layout,
    settings and code, and `simulation/`, the boxes of each finished scene. An image that is there is kept; a tree of
    another fingerprint is removed first.
    """
    tree = TREES[layout]
    plan = tree.plan(settings)
    scenes = [one.scene for one in plan]
    _prepare(root, chest, layout, settings)
    folder = root / tree.folders[0]
    (folder / SUMS).unlink(missing_ok=True)
    tasks = [scenes[start : start + SCENES_PER_TASK] for start in range(0, len(scenes), SCENES_PER_TASK)]
    for count, _ in enumerate(_map(partial(make_scenes, root, chest, layout, settings), tasks, workers), start=1):
        if count % 10 == 0 or count == len(tasks):
            logger.info("%d of %d scenes are simulated.", min(count * SCENES_PER_TASK, len(scenes)), len(scenes))
    boxes = {image: found for scene in scenes for image, found in _read_record(root, scene).items()}
    tree.write(root, plan, boxes, settings)
    write_sums([root / name for name in tree.folders])


def make_scenes(root: Path, chest: Path, layout: str, settings: SimulationSettings, scenes: list[Drawn]) -> int:
    """Render the images of `scenes` that are not there yet; return how many were made."""
    return sum(_make_scene(root, chest, layout, settings, scene) for scene in scenes)


def _make_scene(root: Path, chest: Path, layout: str, settings: SimulationSettings, scene: Drawn) -> int:
    tree = TREES[layout]
    paths = [root / tree.folders[0] / file for file in scene.files]
    recorded = _record_path(root, scene).exists()
    absent = [image for image, path in enumerate(paths) if not (recorded and path.exists())]
    if not absent:
        return 0
    wanted = absent if recorded else list(range(len(paths)))
    rendered = tree.render(scene, wanted, _chest(chest, tree), settings)
    if not recorded:
        found = {scene.images[image]: one.boxes for image, one in zip(wanted, rendered, strict=True)}
        write_json(_record_path(root, scene), {name: [asdict(box) for box in boxes] for name, boxes in found.items()})
    for image, one in zip(wanted, rendered, strict=True):
        write_bytes(paths[image], tree.encode(one.pixels, settings))
    return len(wanted)


_CHESTS: dict[Path, Any] = {}


def _chest(path: Path, tree: Tree) -> Any:
    """Return what a tree draws from, read once per process."""
    if path not in _CHESTS:
        _CHESTS.clear()
        _CHESTS[path] = tree.load(path)
    return _CHESTS[path]


def _map(function: partial[int], tasks: list[list[Drawn]], workers: int) -> Iterator[int]:
    """Map over tasks in one thread per process: more would make results depend on the machine.

    There is one process more than `workers`: each image is synced, and while one waits for the disk another draws.
    """
    if workers == 1:
        _single_thread()
        _CHESTS.clear()
        yield from map(function, tasks)
        return
    with worker_pool(workers + 1, "spawn", _start_worker) as pool:
        yield from pool.map(function, tasks)


def _start_worker() -> None:
    """Use one thread, and end with the parent: a worker left behind by a killed run would go on writing."""
    _single_thread()
    keep_freed_memory()
    end_with_parent()


def _single_thread() -> None:
    import torch

    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


def _prepare(root: Path, chest: Path, layout: str, settings: SimulationSettings) -> None:
    """Remove what another layout or anatomy, other settings or code made, then leave the fingerprint of these."""
    made_from = {"layout": layout, "anatomy": sha256(chest)}
    wanted = {**made_from, "settings": settings.model_dump(mode="json"), "code": _code_hash()}
    path = root / FINGERPRINT
    found = json.loads(path.read_text()) if path.exists() else None
    if found == wanted:
        return
    for name in (*(folder for tree in TREES.values() for folder in tree.folders), "simulation"):
        if (root / name).exists():
            if found is not None:
                logger.info(
                    "%s was made with another anatomy, other settings or other code: it is made anew.", root / name
                )
            shutil.rmtree(root / name)
    write_json(path, wanted)


def _code_hash() -> str:
    """Hash of this package, of the reading of reports and of the classes: whatever decides what an image looks like.

    What makes the anatomy is left out: the fingerprint has the checksum of what it made.
    """
    here = Path(__file__).parent
    drawing = [path for path in sorted(here.glob("*.py")) if path.name not in _MAKERS]
    files = [*drawing, here.parent / "openi.py", here.parent / "openi_index.py", here.parent / "long_tail.py"]
    return hashlib.sha256("".join(sha256(path) for path in files).encode()).hexdigest()


def _record_path(root: Path, scene: Drawn) -> Path:
    return root / RECORDS / f"{scene.name}.json"


def _read_record(root: Path, scene: Drawn) -> dict[str, tuple[MarkedBox, ...]]:
    record = json.loads(_record_path(root, scene).read_text())
    return {
        image: tuple(MarkedBox(one["label"], one["text"], Box(**one["box"])) for one in record[image])
        for image in scene.images
    }
