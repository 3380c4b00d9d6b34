"""The configuration as a page to read: a section per top-level key, a table per block, written from the typed model.

Key, type, default and meaning are those of the model's JSON schema; `make schema` writes both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import to_jsonable_python

from cxrflow.config import Config

PAGE = Path("docs/configuration.md")
NAMED = ".<name>"
"""What a path has for each entry of a table whose names the user chooses."""
HEAD = """# Configuration reference

Every key with its type, default and meaning. This page is written from the typed model (`scripts/cxrflow/config.py`) by
`make schema`; `workflow/schemas/config.schema.json` says the same to editors, which complete and check against it.

What a file leaves out has its default, and what no block knows is an error with a hint, before anything runs. A key of
the type *block* holds the keys of the section that it leads to; `<name>` stands for a name you choose. `config.yaml` is
the demonstration, `workflow/presets/paper.yaml` has the published settings. Files are layered, the last one counts:

    .venv/bin/snakemake --cores 8 --configfile my-cohorts.yaml workflow/presets/paper.yaml
"""
NOUNS = {"string": "text", "integer": "whole number", "number": "number"}
BOUNDS = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}

Node = Mapping[str, Any]
"""A part of a JSON schema."""


@dataclass(frozen=True)
class Block:
    """A block of the configuration: where it stands, its model, and the value of each key that is left out."""

    path: str
    model: Node
    defaults: Mapping[str, Any]
    entries: Mapping[str, Any]
    """What a table of such blocks holds where none is given; empty for a single block."""


def reference() -> str:
    """Return the page."""
    schema = Config.model_json_schema()
    models = schema["$defs"]
    blocks = _blocks(Block("", schema, _defaults(), {}), models)
    lines = [HEAD, *_table(next(blocks), models), *(line for block in blocks for line in _section(block, models))]
    return "\n".join(lines) + "\n"


def _defaults() -> dict[str, Any]:
    """Return the default of each top-level key that has one, as plain types."""
    fields = {name: field for name, field in Config.model_fields.items() if not field.is_required()}
    return {name: to_jsonable_python(field.get_default(call_default_factory=True)) for name, field in fields.items()}


def _blocks(block: Block, models: Mapping[str, Node]) -> Iterator[Block]:
    """Yield a block and all below it, in the order of their keys."""
    yield block
    for key, node in block.model["properties"].items():
        model, named = _model(node)
        if model:
            yield from _blocks(_below(block, key, models[model], named), models)


def _below(block: Block, key: str, model: Node, named: bool) -> Block:
    """Return the block that a key holds, or that each entry of its table is."""
    own = {name: node["default"] for name, node in model["properties"].items() if "default" in node}
    value = block.defaults.get(key) or {}
    path = f"{block.path}.{key}".lstrip(".")
    return Block(path + NAMED, model, own, value) if named else Block(path, model, own | value, {})


def _model(node: Node) -> tuple[str, bool]:
    """Return the name of the model that a key holds (empty where it holds none), and whether it is a table of them."""
    for option in (node, *node.get("anyOf", ())):
        if "$ref" in option:
            return option["$ref"].rpartition("/")[2], False
    found = [value["$ref"].rpartition("/")[2] for value in _values(node) if "$ref" in value]
    return (found[0], True) if found else ("", False)


def _values(node: Node) -> list[Node]:
    """Return what the values of a table are, whatever its names."""
    others = node.get("additionalProperties")
    return [*node.get("patternProperties", {}).values(), *([others] if others else [])]


def _section(block: Block, models: Mapping[str, Node]) -> Iterator[str]:
    depth = min(block.path.replace(NAMED, "").count("."), 2)
    yield from ("", f"{'#' * (2 + depth)} `{block.path}`", "", _flat(block.model["description"]), "")
    yield from _table(block, models)
    if block.entries:
        entries = {name: _said(entry, block.model, models) for name, entry in block.entries.items()}
        yield from ("", "Where none is given:", "", "```yaml")
        yield yaml.safe_dump(entries, sort_keys=False, default_flow_style=None, width=120).rstrip()
        yield "```"


def _said(entry: Mapping[str, Any], model: Node, models: Mapping[str, Node]) -> dict[str, Any]:
    """Return what an entry sets to other values than its block does by default."""
    said = {}
    for key, value in entry.items():
        node = model["properties"][key]
        if "default" not in node or node["default"] != value:
            inner, _ = _model(node)
            said[key] = _said(value, models[inner], models) if inner and value else value
    return said


def _table(block: Block, models: Mapping[str, Node]) -> Iterator[str]:
    yield from ("| key | type | default | meaning |", "|---|---|---|---|")
    for key, node in block.model["properties"].items():
        cells = (_key(block, key, node), _kind(node), _default(block, key, node), _meaning(node, models))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _meaning(node: Node, models: Mapping[str, Node]) -> str:
    """Return what a key says of itself, or its block, where both say the same."""
    return _flat(node.get("description") or models[_model(node)[0]]["description"])


def _key(block: Block, key: str, node: Node) -> str:
    """Return a key, as a link where it holds a block; the anchor is the one that both GitHub and MkDocs make."""
    model, named = _model(node)
    anchor = f"{block.path}.{key}{NAMED if named else ''}".translate(str.maketrans("", "", ".<>"))
    return f"[`{key}`](#{anchor})" if model else f"`{key}`"


def _kind(node: Node, many: bool = False) -> str:
    """Return a type in words."""
    if "anyOf" in node:
        return " or ".join(_kind(option, many) for option in node["anyOf"])
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "$ref" in node:
        return "block"
    kind = node["type"]
    if kind in NOUNS:
        return NOUNS[kind] + ("s" if many else "") + _bounds(node)
    return {"array": _list, "object": _named, "boolean": _switch, "null": _nothing}[kind](node)


def _bounds(node: Node) -> str:
    if {"minimum", "maximum"} <= set(node):
        return f" from {node['minimum']} to {node['maximum']}"
    told = " and ".join(f"{word} {node[bound]}" for bound, word in BOUNDS.items() if bound in node)
    return f" {told}" if told else ""


def _list(node: Node) -> str:
    if "prefixItems" in node:
        return f"{len(node['prefixItems'])} {_kind(node['prefixItems'][0], many=True)}"
    return f"list of {_kind(node['items'], many=True)}" + (", not empty" if node.get("minItems") else "")


def _named(node: Node) -> str:
    return f"table: name to {_kind(_values(node)[0])}"


def _switch(node: Node) -> str:
    return "`true`, `false`"


def _nothing(node: Node) -> str:
    return "`null`"


def _default(block: Block, key: str, node: Node) -> str:
    """Return the default of a key; nothing for a block, whose own section has them."""
    if key in block.model.get("required", ()):
        return "required"
    value = block.defaults[key]
    model, named = _model(node)
    if model and value:
        return ", ".join(f"`{name}`" for name in value) if named else ""
    return f"`{_written(value)}`"


def _written(value: Any) -> str:
    """Return a value as YAML writes it in one line."""
    return yaml.safe_dump([value], default_flow_style=True, width=10**6, allow_unicode=True).strip()[1:-1]


def _flat(text: str) -> str:
    return " ".join(text.split())


def main() -> None:
    """Write the page (used by `make schema`)."""
    from cxrflow.files import write_text

    write_text(PAGE, reference())


if __name__ == "__main__":
    main()
