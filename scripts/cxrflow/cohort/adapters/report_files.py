"""Report texts where they lie: a tree of text files, or the zip archive that holds one, read without unpacking."""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cxrflow.errors import UserError
from cxrflow.files import confined, is_file

MAXIMUM_BYTES = 1_000_000
"""Far above any report; a larger member of an archive is broken or hostile."""
TOO_LARGE = f"has more than {MAXIMUM_BYTES:,} bytes"
HINT_ZIP = "download the archive of the reports again and compare its checksum."
_MEMBER = re.compile(r"(?:^|/)(p\d{2}/p\d+/s\d+\.txt)$")


class UnreadableReportError(Exception):
    """One report is too large, damaged or encrypted; the others may be whole. The message is the reason."""


ReadText = Callable[[str], bytes | None]


@contextmanager
def open_reports(place: Path) -> Iterator[ReadText]:
    """Yield a function: path like 'p10/p10000032/s50414267.txt' -> the file's bytes, None where there is none.

    The function raises UnreadableReportError for a damaged or too large one.

    `place` is a folder with `files/` in it, that folder itself, or a zip of either, whatever its prefix. Raises
    UserError where it is neither, a member of the archive leads outside, or the archive is broken.
    """
    if place.is_dir():
        yield _from_folder(place / "files" if (place / "files").is_dir() else place)
        return
    try:
        with zipfile.ZipFile(place) as archive:
            yield _from_zip(archive, place)
    except FileNotFoundError:
        raise UserError(
            f"The reports {place} are missing.", "`reports` is the folder that holds `files/`, or the zip of reports."
        ) from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise UserError(f"The archive {place} can't be read: {error}.", HINT_ZIP) from None


def _from_folder(folder: Path) -> ReadText:
    def read(path: str) -> bytes | None:
        file = confined(folder, path)
        if not is_file(file):
            return None
        if file.stat().st_size > MAXIMUM_BYTES:
            raise UnreadableReportError(f"the report {TOO_LARGE}")
        return file.read_bytes()

    return read


def _from_zip(archive: zipfile.ZipFile, place: Path) -> ReadText:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        confined(place, info.filename)
        found = _MEMBER.search(info.filename)
        if found is None:
            continue
        if found[1] in members or info.file_size > MAXIMUM_BYTES:
            problem = "is there twice" if found[1] in members else TOO_LARGE
            raise UserError(f"A report in {place} {problem}.", HINT_ZIP)  # its name is an id
        members[found[1]] = info

    def read(path: str) -> bytes | None:
        info = members.get(path)
        if info is None:
            return None
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, zlib.error, RuntimeError) as error:
            raise UnreadableReportError("the report can't be read from its archive") from error

    return read
