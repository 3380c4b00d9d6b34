"""Small annotations in RadGraph's schema, written by hand."""

from typing import Any


def annotation(text: str, *entities: tuple[str, str, list[tuple[str, int]]]) -> dict[str, Any]:
    """Mark (words, label, [(relation, number of the target from 1)]) in the order given; words are sought in `text`."""
    tokens, marked, taken = text.split(), {}, -1
    for number, (words, label, relations) in enumerate(entities, start=1):
        wanted = words.split()
        starts = [at for at in range(len(tokens)) if tokens[at : at + len(wanted)] == wanted]
        start = next((at for at in starts if at > taken), starts[0])
        taken = start
        marked[str(number)] = {
            "tokens": words,
            "label": label,
            "start_ix": start,
            "end_ix": start + len(wanted) - 1,
            "relations": [[kind, str(target)] for kind, target in relations],
        }
    return {"text": text, "entities": marked, "data_source": "MIMIC-CXR", "data_split": "train"}


EFFUSION = annotation(
    "small left pleural effusion . no pneumothorax .",
    ("small", "OBS-DP", [("modify", 4)]),
    ("left", "ANAT-DP", [("modify", 3)]),
    ("pleural", "ANAT-DP", []),
    ("effusion", "OBS-DP", [("located_at", 3)]),
    ("pneumothorax", "OBS-DA", []),
)
