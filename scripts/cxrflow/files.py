"""The only writer of the house: temporary name beside the target, fsync, replace."""

import errno
import gzip
import hashlib
import io
import json
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrflow.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


@contextmanager
def atomic_path(target: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success it is synced and takes the target's name.

    Whatever goes wrong inside the block, the target keeps its old content (or stays absent).
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
        _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_array(target: Path | str, dtype: Any, shape: tuple[int, ...]) -> Iterator["np.ndarray"]:
    """Yield an array in a .npy file, to be filled through memory; the file appears whole when the block ends.

    Its space is taken at once: writing through memory to a disk that is full would end the process without a word.
    """
    from numpy.lib.format import open_memmap

    with atomic_path(target) as temporary:
        array = open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
        with open(temporary, "r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, temporary.stat().st_size)
        yield array
        array.flush()


def write_arrays(target: Path | str, arrays: "Iterable[tuple[str, np.ndarray]]") -> None:
    """Write arrays into one .npz file under their names, one after the other: never more than one is held for it."""
    from numpy.lib.format import write_array

    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays:
            about = zipfile.ZipInfo(f"{name}.npy")  # without the time of day
            with archive.open(about, "w", force_zip64=True) as stream:
                write_array(stream, array, allow_pickle=False)


def forget_leftovers(target: Path | str) -> None:
    """Remove the temporary files of `target` that killed processes left behind."""
    target = Path(target)
    ours = re.compile(rf"\.{re.escape(target.name)}\.[a-z0-9_]{{8}}{re.escape(target.suffix)}")
    if target.parent.is_dir():
        for file in [file for file in target.parent.iterdir() if ours.fullmatch(file.name)]:
            file.unlink(missing_ok=True)


def write_bytes(target: Path | str, content: bytes) -> None:
    """Write `content` whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path | str, content: str) -> None:
    """Write `content` as UTF-8, whole or not at all."""
    write_bytes(target, content.encode())


def write_json(target: Path | str, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys."""
    write_text(target, json.dumps(content, indent=2, sort_keys=True) + "\n")


def write_gzip(target: Path | str, content: bytes) -> None:
    """Write `content` gzipped without a time stamp, so that equal content gives equal bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as stream:
        stream.write(content)
    write_bytes(target, buffer.getvalue())


def write_table(target: Path | str, table: "pd.DataFrame") -> None:
    """Write a table as parquet or csv (by the suffix of `target`)."""
    with atomic_path(target) as temporary:
        if Path(target).suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False)


def write_twins(target: Path | str, table: "pd.DataFrame") -> None:
    """Write a results table as csv with its parquet twin beside it."""
    target = Path(target)
    write_table(target.with_suffix(".parquet"), table)
    write_table(target.with_suffix(".csv"), table)


def sha256(path: Path | str) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def confined(root: Path, relative: str) -> Path:
    """Return `root / relative`, or raise UserError where that would leave `root`.

    Paths in data (csv cells, archive members) are not to be trusted; links that lie below `root` are the user's own,
    and are followed.
    """
    inside = Path(os.path.normpath(relative))
    if inside.is_absolute() or ".." in inside.parts or "\0" in relative:
        raise UserError(
            f"A path in the data leads out of {root}.",  # the path itself may hold ids
            "look for '..', a leading '/' or a NUL: paths in a data set are relative to its root.",
        )
    return root / inside


def is_file(path: Path) -> bool:
    """Return whether there is a plain file; raise UserError, which does not name it, where nobody can tell.

    Names that no file system allows are of no file; so are folders, and pipes that would never end.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        if error.errno in _NO_FILE:
            return False
        raise UserError(
            f"A file can't be looked at: {error.strerror}.", "mend the disk or the permissions and run again."
        ) from None


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
