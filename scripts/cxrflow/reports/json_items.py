"""The items of a JSON file that is one long object or list, one at a time: files of gigabytes in little memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from cxrflow.errors import UserError

CHUNK = 1 << 22  # bytes read at once
LONGEST = 1 << 26  # bytes of the longest item: beyond them the file is taken for broken
_BLANK = " \t\r\n"
_CLOSING = {"{": "}", "[": "]"}
_decoder = json.JSONDecoder()


class Item(NamedTuple):
    """An item of an object (`key`) or list (key None), with the place of its value in the file, in bytes.

    Characters beyond ASCII in `key` and `value` are not decoded: read the bytes at the place for these.
    """

    key: str | None
    value: Any
    start: int
    length: int


def json_items(path: Path) -> Iterator[Item]:
    """Yield the items of the object or list in `path`, in order. Raises UserError where the file is not whole."""
    try:
        with path.open("rb") as stream:
            yield from _items(_Window(stream))
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.", "Check the path in the configuration.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"Expected one JSON object or list in {path}, but {error}.",
            "Was it downloaded whole? Compare its size or checksum with the publisher's.",
        ) from error


def read_item(stream: BinaryIO, start: int, length: int) -> Any:
    """Return the value at a place that `json_items` told."""
    stream.seek(start)
    return json.loads(stream.read(length))


def _items(window: "_Window") -> Iterator[Item]:
    opening = window.next()
    if opening not in _CLOSING:
        raise ValueError("it begins otherwise")
    separator = "," if window.next(advance=False) != _CLOSING[opening] else window.next()
    while separator == ",":
        key = None
        if opening == "{":
            key = window.value()[0]
            if not isinstance(key, str) or window.next() != ":":
                raise ValueError(f"a key is missing before byte {window.position}")
        yield Item(key, *window.value())
        separator = window.next()
    if separator != _CLOSING[opening] or window.next():
        raise ValueError(f"it is broken near byte {window.position}")


class _Window:
    """A stretch of a file, decoded byte by byte (Latin-1), so that a position in it is a position in the file."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._text = ""
        self._first = 0  # position in the file of the first character held
        self._at = 0

    @property
    def position(self) -> int:
        return self._first + self._at

    def next(self, advance: bool = True) -> str:
        """Return the next character that is not blank, '' at the end of the file."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text):
                self._at += advance
                return self._text[self._at - advance]
            if not self._more():
                return ""

    def value(self) -> tuple[Any, int, int]:
        """Return the JSON value that comes next, with its position and length in the file."""
        self.next(advance=False)
        while True:
            try:
                value, end = _decoder.raw_decode(self._text, self._at)
                whole = end < len(self._text) or not self._more()  # '12' may be the beginning of '123'
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > LONGEST or not self._more():
                    raise ValueError(f"it is broken near byte {self._first + error.pos}") from error
                continue
            if whole:
                start, length = self.position, end - self._at
                self._at = end
                return value, start, length

    def _more(self) -> bool:
        """Forget what was read and append the next stretch; False at the end of the file."""
        chunk = self._stream.read(CHUNK)
        if chunk:
            self._text = self._text[self._at :] + chunk.decode("latin-1")
            self._first, self._at = self.position, 0
        return bool(chunk)
