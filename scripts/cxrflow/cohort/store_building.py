"""Builds an image store: every radiograph is decoded once, and a killed job goes on where it was.

A store grows in a hidden file beside its target, shard by shard, and goes on from its last whole shard after an
interruption (`cxrflow.cohort.shards` keeps the journal). The bytes depend on the images alone, neither on the number of
workers nor on interruptions.
"""

import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from cxrflow.cohort.decoding import decode
from cxrflow.cohort.hounsfield import Window
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.shards import Partial, Plan, Shard, Source, stamp
from cxrflow.cohort.unreadable import MISSING, UnreadableImageError
from cxrflow.errors import UserError
from cxrflow.files import confined, write_table, write_text

logger = logging.getLogger(__name__)

SHARD_IMAGES, SHARD_BYTES = 1024, 1 << 26


def build_store(
    manifest: pd.DataFrame,
    root: Path,
    size: int,
    output: Path,
    workers: int,
    refused: Quarantine,
    accept: Callable[[], None] | None = None,
    shard_images: int | None = None,
    window: Window | None = None,
) -> None:
    """Decode every image of `manifest` below `root` into `output` (.npy), with its index (.parquet) and checksum.

    Images that can't be decoded go to `refused` and not into the store. `accept` is called once all are decoded and
    before the store takes its name: when it raises, the decoded images stay for the next run. Files of Hounsfield units
    are shown through `window`. Memory is bounded by two shards (64 MB each, at most 1,024 images) and what `workers`
    files take. Raises UserError where the disk is too small, another process builds the same store, or a path leads out
    of `root`.
    """
    if manifest.empty:
        raise UserError("The manifest names no image.", "see the quarantine of the manifest.")
    images = shard_images or max(1, min(SHARD_IMAGES, SHARD_BYTES // size**2))
    plan = Plan(manifest["image_id"].tolist(), manifest["path"].tolist(), size, images, output, window)
    pool = ThreadPoolExecutor(workers)
    try:
        with Partial.open(plan) as partial:
            _resume(partial, root, pool)
            _decode_missing(partial, root, pool)
            sources = partial.sources()
            _report(plan, sources, refused)
            if accept:
                accept()
            _publish(partial, manifest, sources)
    finally:
        pool.shutdown(cancel_futures=True)


def _resume(partial: Partial, root: Path, pool: ThreadPoolExecutor) -> None:
    """Keep the finished shards whose bytes and whose files are still the same."""

    def same(shard: Shard) -> bool:
        paths = partial.plan.paths[shard.start : shard.stop]
        if hashlib.sha256(partial.read(shard)).hexdigest() != partial.done[shard].checksum:
            return False
        return all(
            stamp(confined(root, path)) == source.stamp
            for path, source in zip(paths, partial.done[shard].sources, strict=True)
        )

    finished = list(partial.done)
    kept = [shard for shard, holds in zip(finished, pool.map(same, finished), strict=True) if holds]
    partial.keep(kept)
    if kept:
        logger.info("%d of %d shards are kept from an interrupted run.", len(kept), len(partial.plan.shards()))


def _decode_missing(partial: Partial, root: Path, pool: ThreadPoolExecutor) -> None:
    """Decode what is not there yet; the next shard is decoded while one is written and synced."""
    waiting: deque[tuple[Shard, np.ndarray, list[Future[Source]]]] = deque()
    for shard in partial.plan.shards():
        if shard in partial.done:
            continue
        pixels = np.zeros((len(shard), partial.plan.size, partial.plan.size), dtype=np.uint8)
        paths, window = partial.plan.paths[shard.start : shard.stop], partial.plan.window
        work = [pool.submit(_decode_into, pixels[row], root, path, window) for row, path in enumerate(paths)]
        waiting.append((shard, pixels, work))
        if len(waiting) > 1:
            _finish(partial, *waiting.popleft())
    for entry in waiting:
        _finish(partial, *entry)


def _finish(partial: Partial, shard: Shard, pixels: np.ndarray, work: list[Future[Source]]) -> None:
    partial.write(shard, pixels, [future.result() for future in work])
    logger.info("%d of %d images decoded", shard.stop, len(partial.plan.paths))


def _decode_into(pixels: np.ndarray, root: Path, path: str, window: Window | None) -> Source:
    """Read the file once: its bytes give the checksum and, in `pixels` (size, size), the image."""
    file = confined(root, path)
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            content = stream.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return Source("", 0, 0, MISSING)
    except OSError as error:  # told without its path, which may hold ids
        raise UserError(
            f"An image file can't be read: {error.strerror}.",
            "mend the disk or the permissions and run again: what is decoded so far is kept.",
        ) from None
    checksum = hashlib.sha256(content).hexdigest()
    try:
        pixels[...] = decode(content, len(pixels), window)
        reason = ""
    except UnreadableImageError as error:
        reason = str(error)
    return Source(checksum, status.st_size, status.st_mtime_ns, reason)


def _report(plan: Plan, sources: list[Source], refused: Quarantine) -> None:
    for image_id, path, source in zip(plan.image_ids, plan.paths, sources, strict=True):
        if source.reason:
            refused.add(path, image_id, source.reason)


def _publish(partial: Partial, manifest: pd.DataFrame, sources: list[Source]) -> None:
    output = partial.plan.output
    index = manifest[["image_id", "height", "width"]].assign(
        row=np.arange(len(manifest)),
        source_bytes=np.array([source.size for source in sources], dtype=np.int64),
        sha256=[source.checksum for source in sources],
    )
    write_table(output.with_suffix(".parquet"), index[[not source.reason for source in sources]])
    write_text(output.with_suffix(".sha256"), f"{partial.checksum()}  {output.name}\n")
    partial.publish()
