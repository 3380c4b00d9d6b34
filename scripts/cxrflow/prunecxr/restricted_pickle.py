"""Reads what a pickle describes without running anything it asks for.

A pickle is a program: loading one from elsewhere runs whatever its author, or whoever changed the file since, wrote
into it. Here the few classes and functions that a pickled table consists of are replaced by inert records of what would
have been called, and every other name is refused. Nothing of numpy, pandas or pyarrow sees the file's state, which can
crash them even where each name in it is harmless.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

from cxrflow.errors import UserError

HINT = "published predictions are tables written by pandas; do not use a file that asks for anything else."
ALLOWED: dict[tuple[str, str], str] = {
    ("pandas", "DataFrame"): "frame",
    ("pandas.core.frame", "DataFrame"): "frame",
    ("pandas.core.internals.managers", "BlockManager"): "blocks",
    ("pandas._libs.internals", "_unpickle_block"): "block",
    ("pandas.core.indexes.base", "_new_Index"): "index",
    ("pandas", "Index"): "index_class",
    ("pandas", "RangeIndex"): "index_class",
    ("pandas.core.indexes.base", "Index"): "index_class",
    ("pandas.core.indexes.range", "RangeIndex"): "index_class",
    ("pandas.core.indexes.numeric", "Int64Index"): "index_class",
    ("pandas", "StringDtype"): "text_dtype",
    ("pandas.arrays", "ArrowStringArray"): "text",
    ("pyarrow.lib", "_restore_array"): "arrow",
    ("pyarrow.lib", "type_for_alias"): "arrow_type",
    ("pyarrow.lib", "py_buffer"): "arrow_buffer",
    ("numpy", "ndarray"): "array_class",
    ("numpy", "dtype"): "dtype",
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy.core.numeric", "_frombuffer"): "buffer_array",
    ("numpy._core.numeric", "_frombuffer"): "buffer_array",
    ("builtins", "slice"): "slice",
    ("__builtin__", "slice"): "slice",
    ("builtins", "bytearray"): "bytes",
    ("__builtin__", "bytearray"): "bytes",
    ("_codecs", "encode"): "bytes",
}
"""Names that tables of pandas 1.3 to 3 refer to, at protocols 2 to 5, and the kind of record that stands for each."""


class Record:
    """A call that a pickle asks for: its kind, its arguments, and the state that the result would be given."""

    kind = ""
    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> "Record":
        """Keep the arguments; nothing is called."""
        record = super().__new__(cls)
        record.arguments, record.state = arguments, None
        return record

    def __setstate__(self, state: Any) -> None:
        self.state = state


def load_records(path: Path, limit: int) -> Any:
    """Return the content of a pickle, with a Record wherever it asks for a call.

    Raises UserError for a file of more than `limit` bytes, for a name that is not in ALLOWED, and for a damaged file.
    """
    size = path.stat().st_size
    if size > limit:
        raise UserError(f"{path} has {size:,} bytes, more than the {limit:,} that its table can need.", HINT)
    content = path.read_bytes()
    try:
        _require_small_memo(content)
        return _Reader(content, path).load()
    except UserError:
        raise
    except Exception as error:  # a broken pickle can fail in any way that one of its instructions can
        raise UserError(f"{path} is not a whole pickle ({type(error).__name__}: {error}).", HINT) from None


def _require_small_memo(content: bytes) -> None:
    """Refuse numbers of remembered objects that the file is too short for: a few bytes could claim all memory."""
    for instruction, argument, _ in pickletools.genops(content):
        if instruction.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise ValueError(f"it remembers object {argument} in {len(content)} bytes")


class _Reader(pickle.Unpickler):
    def __init__(self, content: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(content))
        self._path = path

    def find_class(self, module: str, name: str) -> type[Record]:
        """Return a new class of records for an allowed name: what a pickle does to it ends with this pickle."""
        kind = ALLOWED.get((module, name))
        if kind is None:
            raise UserError(f"{self._path} asks for {module}.{name}, which no table needs; it was not run.", HINT)
        return type(name, (Record,), {"kind": kind})
