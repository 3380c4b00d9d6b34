import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxrflow.errors import UserError
from cxrflow.reports import json_items as module
from cxrflow.reports.json_items import json_items, read_item

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # the fixtures hold nothing of an example
@given(
    content=st.dictionaries(st.text(max_size=5), VALUES, max_size=5) | st.lists(VALUES, max_size=5),
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
    chunk=st.integers(1, 40),
)
def test_items_at_their_places_are_those_that_were_written(
    content: Any, indent: int | None, ascii_only: bool, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    path = tmp_path / "file.json"
    path.write_bytes((json.dumps(content, indent=indent, ensure_ascii=ascii_only) + "\n").encode())
    with path.open("rb") as stream:
        read = [read_item(stream, item.start, item.length) for item in json_items(path)]
    assert read == (list(content.values()) if isinstance(content, dict) else content)


def test_keys_and_values_are_told(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text('{"a": {"text": "x"}, "b": [1]}')
    assert [(item.key, item.value) for item in json_items(tmp_path / "file.json")] == [("a", {"text": "x"}), ("b", [1])]


@pytest.mark.parametrize(
    "text",
    ["", "text", '"a"', "{", '{"a"', '{"a": 1', '{"a": 1,}', "[1,]", "[1 2]", '{"a": 1} x', "{1: 2}", "[" * 9999],
)
def test_a_file_that_is_not_whole_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(UserError, match="Hint"):
        list(json_items(tmp_path / "file.json"))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        list(json_items(tmp_path / "file.json"))
