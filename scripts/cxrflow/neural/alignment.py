"""Finds the entities of a report's graph in its text, character by character."""

import json
import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PIECE = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_")


def entity_characters(text: str, graph: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return (characters of the text,): which of them belong to an entity of its graph (RadGraph's schema).

    Words, digits and signs of the graph's tokens are matched with those of the text, in order, so that it does not
    matter where a tokenizer put blanks, nor that annotated texts lack some words. Blanks belong to no entity.
    """
    tokens = graph["text"].split()
    inside = np.zeros(len(tokens), dtype=bool)
    for entity in graph["entities"].values():
        inside[entity["start_ix"] : entity["end_ix"] + 1] = True
    pieces = [
        (piece.lower(), flag) for token, flag in zip(tokens, inside, strict=True) for piece in _PIECE.findall(token)
    ]
    places = [(found.group().lower(), *found.span()) for found in _PIECE.finditer(text)]
    marked = np.zeros(len(text), dtype=bool)
    for piece, place in _common([piece for piece, _ in pieces], [piece for piece, _, _ in places]):
        _, start, end = places[place]
        marked[start:end] = pieces[piece][1]
    return marked


def read_entity_characters(graphs: Path, images: Sequence[str], texts: Sequence[str]) -> list[NDArray[np.bool_]]:
    """Return `entity_characters` of the texts of `images`, with their graphs from JSON lines (study_id = image_id)."""
    text_of = dict(zip(images, texts, strict=True))
    marked: dict[str, NDArray[np.bool_]] = {}
    with graphs.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if record["study_id"] in text_of:
                marked[record["study_id"]] = entity_characters(text_of[record["study_id"]], record)
    return [marked[image] for image in images]


def _common(one: list[str], other: list[str]) -> list[tuple[int, int]]:
    """Return the places (in `one`, in `other`) of the pieces that both have in the same order."""
    if one == other:
        return [(place, place) for place in range(len(one))]
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return [(block.a + step, block.b + step) for block in blocks for step in range(block.size)]
