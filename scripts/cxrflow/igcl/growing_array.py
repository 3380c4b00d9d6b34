"""An array file that grows by shards in a hidden folder, and goes on where a kill left it.

A shard counts once its bytes are synced and its checksum is noted in a file of its own, which appears whole.
"""

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrflow.files import atomic_path, write_text


@dataclass(frozen=True)
class GrowingArray:
    """A float16 array (rows, width) in the making; the files lie in `folder`."""

    folder: Path
    rows: int
    width: int

    @property
    def _file(self) -> Path:
        return self.folder / "vectors.npy"

    def begin(self) -> None:
        """Take the space on disk, where that was not done yet."""
        header = self._header()
        whole = len(header) + 2 * self.rows * self.width
        with self._file.open("r+b" if self._file.exists() else "w+b") as file:
            if os.fstat(file.fileno()).st_size == whole and file.read(len(header)) == header:
                return
            file.truncate(0)
            file.write(header)
            file.flush()
            os.posix_fallocate(file.fileno(), 0, whole)
            os.fsync(file.fileno())

    def has(self, shard: int, start: int, count: int) -> bool:
        """Return whether a shard, `count` rows from `start` on, is safe on disk."""
        note = self._note(shard)
        return note.exists() and note.read_text() == hashlib.sha256(self._read(start, count)).hexdigest()

    def write(self, shard: int, start: int, values: NDArray) -> None:
        """Write a shard and sync it, and only then note it."""
        content = np.ascontiguousarray(values, dtype=np.float16).tobytes()
        with self._file.open("r+b") as file:
            file.seek(self._place(start))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        write_text(self._note(shard), hashlib.sha256(content).hexdigest())

    def publish(self, target: Path) -> None:
        """Give the finished array its name."""
        with atomic_path(target) as temporary:
            os.replace(self._file, temporary)

    def _read(self, start: int, count: int) -> bytes:
        with self._file.open("rb") as file:
            return os.pread(file.fileno(), 2 * count * self.width, self._place(start))

    def _place(self, row: int) -> int:
        return len(self._header()) + 2 * row * self.width

    def _note(self, shard: int) -> Path:
        return self.folder / f"vectors_{shard:05d}.sha256"

    def _header(self) -> bytes:
        buffer = io.BytesIO()
        about = {"descr": "<f2", "fortran_order": False, "shape": (self.rows, self.width)}
        np.lib.format.write_array_header_1_0(buffer, about)
        return buffer.getvalue()
