import builtins
import os
import pickle
import struct
import subprocess
from base64 import b64decode
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.prunecxr.pickled_samples import PICKLED

from cxrflow.errors import UserError
from cxrflow.prunecxr.pickled_tables import read_pickled_table
from cxrflow.prunecxr.restricted_pickle import load_records

LIMIT = 100_000


class Asks:
    """Pickles to a call of what it is given."""

    def __init__(self, called: Any, *arguments: Any) -> None:
        self.asked = called, arguments

    def __reduce__(self) -> Any:
        return self.asked


def small_table() -> pd.DataFrame:
    table = pd.DataFrame({"No Finding": [0.75, 0.5, 0.0], "Hernia": [0.25, 0.125, 1.0]}, dtype="float32")
    return table.assign(label=["No Finding", "", "Hernia"])


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "table.pkl"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("release", PICKLED)
def test_tables_of_older_releases_of_pandas_and_numpy_are_read(release: str, tmp_path: Path) -> None:
    table = read_pickled_table(written(tmp_path, b64decode(PICKLED[release])), LIMIT)
    assert table["No Finding"].to_list() == [0.75, 0.5, 0.0]
    assert table["Hernia"].to_list() == [0.25, 0.125, 1.0]
    assert table["label"].to_list() == ["No Finding", "", "Hernia"]
    assert table["Hernia"].dtype == np.float32


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "table",
    [
        small_table(),
        small_table().astype({"label": object}).rename(columns=str),
        small_table().drop(columns="label"),
        small_table().drop(columns="label").set_axis(pd.Index(["a", "b"], dtype=object), axis=1),
        small_table()[["label", "Hernia", "No Finding"]],
        small_table().astype({"Hernia": "float64", "No Finding": "float16"}),
        small_table().assign(other=[1, 2, 3]).iloc[[0, 1, 2]],
        small_table().iloc[::-1],
    ],
    ids=["strings", "objects", "no label", "object columns", "other order", "mixed types", "integers", "reversed"],
)
def test_a_table_of_the_installed_pandas_is_read_as_it_was(table: pd.DataFrame, protocol: int, tmp_path: Path) -> None:
    read = read_pickled_table(written(tmp_path, pickle.dumps(table, protocol)), LIMIT)
    assert list(read) == list(table)
    for name in table:
        assert read[name].to_list() == table[name].to_list()
        assert read[name].dtype == table[name].dtype or name == "label"


@pytest.mark.parametrize(
    ("attack", "name"),
    [
        (Asks(os.system, "touch owned"), "system"),
        (Asks(eval, "open('owned', 'w')"), "builtins.eval"),
        (Asks(exec, "open('owned', 'w')"), "builtins.exec"),
        (Asks(builtins.open, "owned", "w"), "open"),
        (Asks(subprocess.run, ["touch", "owned"]), "subprocess.run"),
        (Asks(getattr, Asks(__import__, "os"), "system"), "builtins.getattr"),
        (Asks(np.load, "owned"), "numpy.load"),
        (Asks(np.save, "owned", [1]), "numpy.save"),
        (Asks(pd.read_pickle, "owned"), "pandas"),
        (Asks(pickle.loads, pickle.dumps(1)), "loads"),
        (Asks(pd.eval, "1 + 1"), "pandas"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "in an object column"])
def test_what_a_pickle_asks_for_is_refused_by_name_and_not_run(
    attack: Asks, name: str, nested: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = pd.DataFrame({"Hernia": [0.5, 0.5], "label": pd.Series(["", attack], dtype=object)}) if nested else attack
    path = written(tmp_path, pickle.dumps(content))
    with pytest.raises(UserError, match=rf"(?s){path}.*{name}"):
        read_pickled_table(path, LIMIT)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "name", ["system", "mro.__subclasses__", "DataFrame.__init__.__globals__", "io.common.os.system"]
)
def test_a_dotted_name_does_not_reach_through_an_allowed_module(name: str, tmp_path: Path) -> None:
    module, encoded = b"pandas", name.encode()
    content = b"\x80\x04\x8c" + bytes([len(module)]) + module + b"\x8c" + bytes([len(encoded)]) + encoded + b"\x93."
    with pytest.raises(UserError, match=f"asks for pandas.{name}"):
        load_records(written(tmp_path, content), LIMIT)


@pytest.mark.parametrize("opcode", [b"cos\nsystem\n.", b"(S'touch owned'\nios\nsystem\n.", b"\x82\x01.", b"Pname\n."])
def test_old_opcodes_reach_no_other_names(opcode: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        load_records(written(tmp_path, opcode), LIMIT)


def test_calls_of_allowed_names_are_only_written_down(tmp_path: Path) -> None:
    content = pickle.dumps(Asks(bytearray, 10**15))
    assert load_records(written(tmp_path, content), LIMIT).arguments == (10**15,)


def test_a_pickle_cannot_change_how_the_next_one_is_read(tmp_path: Path) -> None:
    kind, other = (b"X" + struct.pack("<I", len(word)) + word for word in (b"kind", b"other"))
    set_kind_of_class = b"\x80\x02cpandas\nDataFrame\nN}" + kind + other + b"s\x86b."
    with pytest.raises(UserError):
        load_records(written(tmp_path, set_kind_of_class), LIMIT)
    assert len(read_pickled_table(written(tmp_path, pickle.dumps(small_table())), LIMIT)) == 3


@pytest.mark.parametrize("held", [1, None, float("nan"), b"bytes", ("a",), ["a"]])
def test_an_array_of_objects_may_hold_strings_alone(held: Any, tmp_path: Path) -> None:
    table = pd.DataFrame({"label": pd.Series(["Hernia", held], dtype=object)})
    with pytest.raises(UserError, match=f"other objects: {type(held).__name__}"):
        read_pickled_table(written(tmp_path, pickle.dumps(table)), LIMIT)


def test_a_file_larger_than_its_table_can_be_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has 300 bytes, more than the 299"):
        load_records(written(tmp_path, b"c" * 300), 299)


def test_a_few_bytes_cannot_claim_all_memory(tmp_path: Path) -> None:
    content = b"\x80\x04Nr" + struct.pack("<I", 2**31) + b"."
    with pytest.raises(UserError, match="not a whole pickle"):
        load_records(written(tmp_path, content), LIMIT)


@pytest.mark.parametrize("content", [[1, 2], np.zeros(3), pd.Series([1.0]).to_dict(), "text", pd.Index(["a"])])
def test_what_is_no_table_is_told_so(content: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a table as pandas"):
        read_pickled_table(written(tmp_path, pickle.dumps(content)), LIMIT)


@given(data=st.data())
def test_a_damaged_file_is_a_table_or_an_error_of_the_user(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(b64decode(PICKLED[data.draw(st.sampled_from(sorted(PICKLED)))]))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path = written(tmp_path_factory.mktemp("damaged"), bytes(content))
    with suppress(UserError):
        assert isinstance(read_pickled_table(path, LIMIT), pd.DataFrame)
