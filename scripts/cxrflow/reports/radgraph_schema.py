"""One annotation in the schema of RadGraph (Jain et al. 2021) or RadGraph-XL, checked entity by entity.

Tokens are the words of the text between blanks; `start_ix` and `end_ix` count them, both inclusive. RadGraph-XL spells
its labels out and knows more of them; they are brought down to the four of RadGraph.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ANATOMY = "ANAT-DP"
STATUSES = {"OBS-DP": "present", "OBS-U": "uncertain", "OBS-DA": "absent"}
LABELS = (ANATOMY, *STATUSES)
RELATIONS = ("modify", "located_at", "suggestive_of")
LABELERS = ("labeler_1", "labeler_2")
_NEEDED = {"tokens", "label", "start_ix", "end_ix"}
_LONG_CERTAINTIES = {"definitely present": "OBS-DP", "uncertain": "OBS-U", "definitely absent": "OBS-DA"}


@dataclass(frozen=True, slots=True)
class AnnotatedEntity:
    """Tokens `start` to `end` (exclusive); relations as (type, position of the target among the entities)."""

    start: int
    end: int
    label: str
    relations: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Annotation:
    """Entities in the order of the text, and what was refused of the original (each reason once)."""

    tokens: tuple[str, ...]
    entities: tuple[AnnotatedEntity, ...] = ()
    problems: tuple[str, ...] = ()


def read_annotation(record: Any, labeler: str = LABELERS[0]) -> Annotation:
    """Check one annotation; entities and relations that cannot be right are left out and named in `problems`.

    `labeler` chooses among the two radiologists of RadGraph's test part; elsewhere there is one annotation only.
    """
    text = record.get("text") if isinstance(record, Mapping) else None
    entities = _entities_of(record, labeler)
    if not isinstance(text, str) or not isinstance(entities, Mapping):
        return Annotation((), problems=("the annotation has no text or no entities",))
    tokens = tuple(text.split())
    problems: dict[str, None] = {}
    kept: list[tuple[int, int, str, str]] = []
    for number, raw in entities.items():
        span = _span(raw, tokens)
        if isinstance(span, str):
            problems[span] = None
        else:
            kept.append((*span, number))
    kept.sort()
    place = {number: position for position, (_, _, _, number) in enumerate(kept)}
    related = tuple(
        AnnotatedEntity(start, end, label, _relations(entities[number], number, place, entities, problems))
        for start, end, label, number in kept
    )
    return Annotation(tokens, related, tuple(problems))


def _entities_of(record: Any, labeler: str) -> Any:
    """Return the raw entities of a record, those of `labeler` where two radiologists marked it; None without any."""
    if not isinstance(record, Mapping):
        return None
    if "entities" in record:
        return record["entities"]
    marked = record.get(labeler)
    return marked.get("entities") if isinstance(marked, Mapping) else None


def graph_of(study_id: str, annotation: Annotation) -> dict[str, Any]:
    """Return one line of graphs.jsonl: study_id, text and entities by their number, from 1 in the order of the text."""
    return {
        "study_id": study_id,
        "text": " ".join(annotation.tokens),
        "entities": {
            str(number): {
                "tokens": " ".join(annotation.tokens[entity.start : entity.end]),
                "label": entity.label,
                "start_ix": entity.start,
                "end_ix": entity.end - 1,
                "relations": [[kind, str(target + 1)] for kind, target in entity.relations],
            }
            for number, entity in enumerate(annotation.entities, start=1)
        },
    }


def joined(annotations: Sequence[Annotation]) -> Annotation:
    """Put the annotations of several sections one after the other; a full stop keeps their sentences apart."""
    tokens: list[str] = []
    entities: list[AnnotatedEntity] = []
    for annotation in annotations:
        if tokens and annotation.tokens and tokens[-1] not in (".", "?", "!"):
            tokens.append(".")
        words, before = len(tokens), len(entities)
        tokens += annotation.tokens
        entities += (
            AnnotatedEntity(
                entity.start + words,
                entity.end + words,
                entity.label,
                tuple((kind, target + before) for kind, target in entity.relations),
            )
            for entity in annotation.entities
        )
    problems = dict.fromkeys(problem for annotation in annotations for problem in annotation.problems)
    return Annotation(tuple(tokens), tuple(entities), tuple(problems))


def short_label(label: Any) -> str | None:
    """Return the label in RadGraph's four, None where it is unknown.

    'Observation::measurement::uncertain' is an uncertain observation; anatomy has one label only, as in RadGraph.
    """
    if label in LABELS:
        return str(label)
    kind, _, rest = str(label).partition("::")
    certainty = _LONG_CERTAINTIES.get(rest.removeprefix("measurement::"))
    if kind == "Anatomy" and certainty:
        return ANATOMY
    return certainty if kind == "Observation" else None


def _span(raw: Any, tokens: Sequence[str]) -> tuple[int, int, str] | str:
    """Return start, end (exclusive) and label of an entity, or the reason why it is refused."""
    if not isinstance(raw, Mapping) or not raw.keys() >= _NEEDED:
        return "an entity lacks its tokens, label or offsets"
    label, start, end = short_label(raw["label"]), raw["start_ix"], raw["end_ix"]
    if label is None:
        return "an entity has an unknown label"
    if not (_is_index(start) and _is_index(end) and start <= end < len(tokens)):
        return "the offsets of an entity lead out of the text"
    if list(tokens[start : end + 1]) != str(raw["tokens"]).split():
        return "the tokens of an entity are not those at its offsets"
    return start, end + 1, label


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _relations(
    raw: Mapping[str, Any],
    number: str,
    place: Mapping[str, int],
    entities: Mapping[str, Any],
    problems: dict[str, None],
) -> tuple[tuple[str, int], ...]:
    kept: dict[tuple[str, int], None] = {}
    for kind, target in _pairs(raw.get("relations", []), problems):
        if kind not in RELATIONS:
            problems["a relation has an unknown type"] = None
        elif target == number:
            problems["an entity is related to itself"] = None
        elif target in place:
            kept[kind, place[target]] = None
        elif target in entities:
            problems["a relation leads to a refused entity"] = None
        else:
            problems["a relation leads to an entity that the report lacks"] = None
    return tuple(kept)


def _pairs(relations: Any, problems: dict[str, None]) -> Iterable[tuple[str, str]]:
    if not isinstance(relations, list):
        problems["the relations of an entity are no list"] = None
        return
    for relation in relations:
        if isinstance(relation, list) and len(relation) == 2:
            yield str(relation[0]), str(relation[1])
        else:
            problems["a relation is not a pair of type and target"] = None
