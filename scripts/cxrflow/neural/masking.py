"""Hides what a report says of the targets themselves, so that what is left of its help can be measured."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrflow.cohort.openi_index import LABEL_OF
from cxrflow.cohort.sections import BLANK
from cxrflow.errors import UserError

_BEFORE_CLOSING = re.compile(r"\s+(?=[.,;:?!)\]%]|'s\b)")
_AFTER_OPENING = re.compile(r"(?<=[(\[])\s+")
_AROUND_JOINT = re.compile(r"(?<=\S)\s*([-/])\s*(?=\S)")


def hidden_findings(targets: Iterable[str]) -> frozenset[str]:
    """Return the findings that make any of the targets' labels positive; parents of a finding count as its labels.

    Raises UserError for a target that no finding makes: its mentions cannot be told from other words.
    """
    wanted = set(targets)
    unknown = sorted(wanted - {label for labels in LABEL_OF.values() for label in labels})
    if unknown:
        raise UserError(
            f"No finding in reports stands for the targets {unknown}, so that their mentions cannot be hidden.",
            "Take the masked settings out of neural.texts.settings, or these labels out of neural.gnn.targets.",
        )
    return frozenset(finding for finding, labels in LABEL_OF.items() if wanted.intersection(labels))


def masked_graph(record: Mapping[str, Any], mentions: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """Return a report graph (one record in RadGraph's schema) without the mentions: token spans, end inclusive.

    Each run of hidden tokens becomes one blank, whatever its length: as many blanks as words would tell 'pleural
    effusion' from 'pneumothorax'. The tokens after it are renumbered, and so are the offsets of the entities.
    Entities that share a token with a mention are gone, with all relations from and to them.

    Hidden is what the mentions' spans cover, whatever is said of it ('no effusion' tells of effusion too), and a short
    form in parentheses right after one. Still to be read are the words around ('no', 'small', 'left'), the anatomy
    that a state was said of ('heart is ___'), findings that make no label ('granulomatous disease' beside a granuloma),
    and words of normality ('clear', 'unremarkable', 'no acute disease'), which mention no finding: a masked report
    lacks the words themselves, not every hint.
    """
    tokens = record["text"].split()
    hidden = _hidden(tokens, mentions)
    kept = ~hidden | _begins(hidden)
    place = np.cumsum(kept) - 1
    return {
        "study_id": record["study_id"],
        "text": " ".join(BLANK if hidden[at] else tokens[at] for at in np.flatnonzero(kept)),
        "entities": _moved(record["entities"], hidden, place),
    }


def _hidden(tokens: Sequence[str], mentions: Iterable[tuple[int, int]]) -> NDArray[np.bool_]:
    """Return which tokens to hide; findings do not list the short form in 'congestive heart failure (CHF)'."""
    hidden = np.zeros(len(tokens), dtype=bool)
    for start, end in mentions:
        hidden[start : end + 1] = True
        if list(tokens[end + 1 : end + 2]) == ["("] and list(tokens[end + 3 : end + 4]) == [")"]:
            hidden[end + 2] = True
    return hidden


def _begins(hidden: NDArray[Any]) -> NDArray[Any]:
    """Return where runs of hidden tokens begin."""
    before = np.zeros_like(hidden)
    before[1:] = hidden[:-1]
    return hidden & ~before


def _moved(entities: Mapping[str, Any], hidden: NDArray[Any], place: NDArray[Any]) -> dict[str, Any]:
    """Return the entities without a hidden token, at their new places, numbered from 1 anew."""
    left = [key for key, entity in entities.items() if not hidden[entity["start_ix"] : entity["end_ix"] + 1].any()]
    number = {key: str(position) for position, key in enumerate(left, start=1)}
    return {
        number[key]: {
            **entities[key],
            "start_ix": int(place[entities[key]["start_ix"]]),
            "end_ix": int(place[entities[key]["end_ix"]]),
            "relations": [[kind, number[target]] for kind, target in entities[key]["relations"] if target in number],
        }
        for key in left
    }


def tidy(text: str) -> str:
    """Return text whose tokens stand apart ('heart , lungs .') as it is written ('heart, lungs.').

    On the reports of Open-I this brings the tokens of 98 % of the reports back to the original; what stays different
    are words that the tokenizer cut at no blank ('8mm', 'cannot').
    """
    closed = _AFTER_OPENING.sub("", _BEFORE_CLOSING.sub("", " ".join(text.split())))
    return _AROUND_JOINT.sub(r"\1", closed)
