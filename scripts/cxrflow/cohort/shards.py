"""The unfinished image store: an array file that grows by shards, and the journal of the shards that are safe on disk.

Both are hidden files beside the store, so that a workflow engine that deletes a failed job's outputs leaves them alone.
A shard is noted in the journal only after its bytes are synced. Every line of the journal carries its own checksum:
lines that an interruption cut or garbled are ignored, and their shards are decoded again.
"""

import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from cxrflow.cohort.decoding import decoding_rule
from cxrflow.cohort.hounsfield import Window
from cxrflow.errors import UserError
from cxrflow.files import sha256, write_bytes

Shard = range
"""The rows of the store that are decoded, written and noted together."""


class Source(NamedTuple):
    """What is known of an image's file once it was read: SHA-256, bytes, time of its last change, why it is refused."""

    checksum: str
    size: int
    changed: int
    reason: str

    @property
    def stamp(self) -> tuple[int, int]:
        """Return what tells a changed file without reading it."""
        return self.size, self.changed


class Done(NamedTuple):
    """A shard that is safe on disk: the SHA-256 of its pixels, and its files."""

    checksum: str
    sources: list[Source]


@dataclass(frozen=True)
class Plan:
    """What is decoded, in which order, into which file."""

    image_ids: list[str]
    paths: list[str]
    size: int
    shard_images: int
    output: Path
    window: Window | None = None

    @property
    def partial(self) -> Path:
        """Return where the array grows."""
        return self.output.with_name(f".{self.output.stem}.partial.npy")

    @property
    def journal(self) -> Path:
        """Return where finished shards are noted."""
        return self.output.with_name(f".{self.output.stem}.partial.jsonl")

    def shards(self) -> list[Shard]:
        """Return all shards in order."""
        count, step = len(self.paths), self.shard_images
        return [range(start, min(start + step, count)) for start in range(0, count, step)]

    def header(self) -> bytes:
        """Return the head of the .npy file."""
        buffer = io.BytesIO()
        shape = (len(self.paths), self.size, self.size)
        np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return buffer.getvalue()

    def fingerprint(self) -> str:
        """Return what a begun store must agree in to be continued."""
        content = [decoding_rule(), self.size, self.shard_images, self.image_ids, self.paths, *(self.window or ())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass
class Partial:
    """A store in the making. `done` holds the shards that are safe on disk."""

    plan: Plan
    file: BinaryIO
    done: dict[Shard, Done] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def open(cls, plan: Plan) -> Iterator["Partial"]:
        """Open what an interrupted run left for this plan, or begin anew; no other process may until the block ends."""
        plan.output.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(plan.partial, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
            _lock(file, plan.partial)
            partial = cls(plan, file)
            done = _read_journal(plan) if partial._is_whole() else None
            _require_space(plan, 0 if done is None else os.fstat(file.fileno()).st_blocks * 512)
            if done is None:
                partial._begin()
            partial.done = done or {}
            yield partial

    def read(self, shard: Shard) -> bytes:
        """Return the bytes of a shard; safe to call from several threads."""
        return os.pread(self.file.fileno(), len(shard) * self.plan.size**2, self._offset(shard))

    def write(self, shard: Shard, pixels: np.ndarray, sources: list[Source]) -> None:
        """Write a shard (len(shard), size, size), sync it, and only then note it in the journal."""
        self.file.seek(self._offset(shard))
        self.file.write(pixels.data)
        _sync(self.file)
        self.done[shard] = Done(hashlib.sha256(pixels.data).hexdigest(), sources)
        with self.plan.journal.open("ab") as journal:
            journal.write(_line(self._entry(shard)))
            _sync(journal)

    def keep(self, shards: list[Shard]) -> None:
        """Forget all finished shards but these, and write the journal anew."""
        self.done = {shard: self.done[shard] for shard in shards}
        lines = [{"fingerprint": self.plan.fingerprint()}, *(self._entry(shard) for shard in shards)]
        write_bytes(self.plan.journal, b"".join(map(_line, lines)))

    def sources(self) -> list[Source]:
        """Return the file of every row, once all shards are done."""
        return [source for shard in self.plan.shards() for source in self.done[shard].sources]

    def checksum(self) -> str:
        """Return the SHA-256 of the whole .npy file."""
        return sha256(self.plan.partial)

    def publish(self) -> None:
        """Give the finished array its name; the journal is dropped."""
        os.replace(self.plan.partial, self.plan.output)
        folder = os.open(self.plan.output.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self.plan.journal.unlink()

    def _begin(self) -> None:
        self.plan.journal.unlink(missing_ok=True)
        header = self.plan.header()
        self.file.truncate(0)
        self.file.write(header)
        self.file.truncate(len(header) + len(self.plan.paths) * self.plan.size**2)
        _sync(self.file)

    def _is_whole(self) -> bool:
        header = self.plan.header()
        length = len(header) + len(self.plan.paths) * self.plan.size**2
        return os.fstat(self.file.fileno()).st_size == length and os.pread(self.file.fileno(), len(header), 0) == header

    def _offset(self, shard: Shard) -> int:
        return len(self.plan.header()) + shard.start * self.plan.size**2

    def _entry(self, shard: Shard) -> dict[str, Any]:
        checksum, sources = self.done[shard]
        return {"start": shard.start, "stop": shard.stop, "checksum": checksum, "sources": sources}


def stamp(path: Path) -> tuple[int, int]:
    """Return bytes and time of the last change of a file; zeros where there is none."""
    if not path.is_file():
        return 0, 0
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _read_journal(plan: Plan) -> dict[Shard, Done] | None:
    """Return the noted shards, or None where the journal is not of this plan."""
    if not plan.journal.exists():
        return None
    with plan.journal.open("rb") as journal:
        entries = [entry for entry in map(_entry, journal) if entry]
    if not entries or entries[0].get("fingerprint") != plan.fingerprint():
        return None
    done = {
        range(entry["start"], entry["stop"]): Done(entry["checksum"], [Source(*source) for source in entry["sources"]])
        for entry in entries[1:]
    }
    return {shard: done[shard] for shard in plan.shards() if shard in done}


def _line(entry: dict[str, Any]) -> bytes:
    content = json.dumps(entry).encode()
    return hashlib.sha256(content).hexdigest().encode() + b" " + content + b"\n"


def _entry(line: bytes) -> dict[str, Any] | None:
    checksum, _, content = line.rstrip(b"\n").partition(b" ")
    whole = checksum == hashlib.sha256(content).hexdigest().encode()
    return json.loads(content) if whole else None


def _lock(file: BinaryIO, path: Path) -> None:
    """Hold the file until it is closed; file systems without locks are left at that."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
    except BlockingIOError:
        ours = False
    except OSError:
        return
    if not ours:
        raise UserError(
            f"Another process is building {path.parent / path.name[1:]}.",
            "wait until it ends, or end it: an interrupted workflow can leave a job behind.",
        )


def _require_space(plan: Plan, present: int) -> None:
    needed = len(plan.paths) * plan.size**2 - present
    free = shutil.disk_usage(plan.output.parent).free
    if needed > free:
        raise UserError(
            f"The image store takes {needed / 1e9:.1f} GB more; {plan.output.parent} has {free / 1e9:.1f} GB free.",
            "free some space, choose another results folder, or a smaller image size.",
        )


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
