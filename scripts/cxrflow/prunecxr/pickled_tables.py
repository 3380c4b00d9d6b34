"""A pickled pandas table, put together from the inert records that a restricted reader returns."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.errors import UserError
from cxrflow.prunecxr.restricted_pickle import HINT, Record, load_records

_OFFSETS: dict[str, Any] = {"large_string": np.dtype("<i8"), "string": np.dtype("<i4")}


def read_pickled_table(path: Path, limit: int) -> pd.DataFrame:
    """Return the table in a pickle of at most `limit` bytes, its rows numbered from 0, whatever index they had.

    Columns are numbers or strings. Raises UserError for anything that is no such table (see `load_records`).
    """
    content = load_records(path, limit)
    try:
        return _table(content)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is not a table as pandas 1.3 to 3 write it ({error}).", HINT) from None


def _table(content: Any) -> pd.DataFrame:
    blocks, axes = _arguments(_record(content, "frame").state["_mgr"], "blocks")
    names = _strings(_arguments(axes[0], "index")[1]["data"])
    columns: dict[int, NDArray[Any]] = {}
    for block in blocks:
        values, places = _arguments(block, "block")[:2]
        values = np.atleast_2d(_text(values) if _kind(values) == "text" else _array(values))
        columns |= dict(zip(_places(places, len(names)), values, strict=True))
    if sorted(columns) != list(range(len(names))) or len(set(names)) != len(names):
        raise ValueError(f"{len(columns)} columns have {len(set(names))} of {len(names)} names")
    return pd.DataFrame({name: columns[place] for place, name in enumerate(names)})


def _places(places: Any, count: int) -> list[int]:
    """Return the numbers of a block's columns, from a slice or an array of them."""
    if _kind(places) == "slice":
        return list(range(*slice(*places.arguments).indices(count)))
    return [int(place) for place in _array(places)]


def _array(record: Any) -> NDArray[Any]:
    """Return an array of numbers or of strings."""
    if _kind(record) == "buffer_array":
        raw, dtype, shape, order = record.arguments
    else:
        _, shape, dtype, fortran, raw = _record(record, "array").state
        order = "F" if fortran else "C"
    code, byte_order = _record(dtype, "dtype").arguments[0], dtype.state[1]
    if code in ("O", "O8"):  # their elements are listed by row, whatever the order in memory
        return np.array(_only_strings(raw), dtype=object).reshape(shape)
    if not re.fullmatch("[fiu][1248]", code) or byte_order not in ("<", ">", "|", "="):
        raise ValueError(f"elements of type {code!r} are neither numbers nor strings")
    return np.frombuffer(_bytes(raw), np.dtype(code).newbyteorder(byte_order)).reshape(shape, order=order)


def _only_strings(values: Any) -> list[str]:
    others = sorted({getattr(value, "kind", "") or type(value).__name__ for value in values if type(value) is not str})
    if others:
        raise ValueError(f"an array of strings holds other objects: {', '.join(others)}")
    return list(values)


def _strings(record: Any) -> list[str]:
    return _only_strings((_text(record) if _kind(record) == "text" else _array(record)).ravel())


def _text(record: Record) -> NDArray[Any]:
    """Return the strings of an Arrow array, as pandas 3 keeps them: all in one buffer, and where each one starts."""
    ((kind, length, _, start, buffers, *_),) = _arguments(record.state["_pa_array"], "arrow")
    offsets_type = _OFFSETS[_arguments(kind, "arrow_type")[0]]
    valid, offsets, letters = (None if one is None else _bytes(_arguments(one, "arrow_buffer")[0]) for one in buffers)
    if valid is not None or offsets is None:
        raise ValueError("a text is missing")
    bounds = np.frombuffer(offsets, offsets_type)[start : start + length + 1]
    letters = letters or b""
    if len(bounds) != length + 1 or bounds[0] < 0 or bounds[-1] > len(letters) or (np.diff(bounds) < 0).any():
        raise ValueError("texts lie outside their buffer or overlap")
    cut = [letters[first:last].decode() for first, last in pairwise(bounds)]
    return np.array(cut, dtype=object)


def _bytes(value: Any) -> bytes:
    """Return bytes as they are, or as older protocols write them: the letters of a Latin-1 text."""
    if _kind(value) == "bytes":
        inner = value.arguments[0] if value.arguments else b""
        return inner.encode("latin-1") if isinstance(inner, str) else _bytes(inner)
    if not isinstance(value, bytes | bytearray):
        raise TypeError(f"expected bytes, found {type(value).__name__}")
    return bytes(value)


def _kind(value: Any) -> str:
    return value.kind if isinstance(value, Record) else ""


def _record(value: Any, kind: str) -> Record:
    if _kind(value) != kind:
        raise TypeError(f"expected {kind}, found {_kind(value) or type(value).__name__}")
    return value


def _arguments(value: Any, kind: str) -> tuple[Any, ...]:
    return _record(value, kind).arguments
