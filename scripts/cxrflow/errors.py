"""The error a user can act on: what was expected, what was found, where, and a hint."""

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

_RESUME = "what is finished is kept, and the same command goes on from there."
_DISK = {
    errno.ENOSPC: f"free some space on that disk and run again: {_RESUME}",
    errno.EDQUOT: f"your quota is used up: free some space or ask for more, and run again: {_RESUME}",
    errno.EFBIG: f"files may not grow that large here (see `ulimit -f`): raise the limit and run again: {_RESUME}",
    errno.EROFS: f"this disk can be read but not written: mount it for writing, and run again: {_RESUME}",
    errno.EACCES: f"see who owns the file and its folder, and who may read and write them: {_RESUME}",
    errno.EPERM: f"see who owns the file and its folder, and who may change them: {_RESUME}",
    errno.EIO: f"the disk or the network to it fails: see the system's log. Once it is mended, run again: {_RESUME}",
}
"""What to do about each trouble with a disk."""
_NUMPY_SHORT = re.compile(r"\d+ requested and \d+ written")


class UserError(Exception):
    """A mistake in the input or the configuration, told without a stack trace."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint)  # both, so that it can come from another process

    def __str__(self) -> str:
        """Return what the user reads."""
        message, hint = self.args
        return f"{message}\nHint: {hint}"


def disk_error(error: BaseException, results: Path) -> UserError | None:
    """Return what a user must know where `error` comes from a disk that is full, read-only, forbidden or broken.

    Libraries wrap such errors in their own, or keep only the text. A file is named if it lies below `results`: names of
    raw files may hold ids of patients.
    """
    for one in _chain(error):
        code = _code(one)
        if code is not None:
            name = getattr(one, "filename", None)
            ours = isinstance(name, str) and results.absolute() in Path(name).absolute().parents
            return UserError(
                f"{os.strerror(code)}: {name if ours else 'a file'} can't be read or written.", _DISK[code]
            )
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it came from; not what a handled error merely stood before (`raise ... from None`)."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _code(error: BaseException) -> int | None:
    number = getattr(error, "errno", None)
    if number is not None:
        return number if number in _DISK else None
    if isinstance(error, OSError) and _NUMPY_SHORT.search(str(error)):
        return errno.ENOSPC  # numpy says only that less was written than it wanted
    return next((code for code in _DISK if os.strerror(code) in str(error)), None)
