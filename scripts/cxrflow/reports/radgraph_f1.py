"""RadGraph F1: how far two report graphs (lines of graphs.jsonl, or their schema) agree.

On one text, spans are compared (Jain et al. 2021, strict micro F1). Between two reports of different texts, as when one
was generated, sets of entities are compared by their words (Delbrouck et al. 2022).
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from cxrflow.reports.radgraph_schema import LABELS, RELATIONS

Graph = Mapping[str, Any]
Reward = Literal["entity", "partial", "complete"]
MICRO = "micro"


class Agreement(NamedTuple):
    """What is in both, in the candidate only, and in the reference only."""

    true: int
    false: int
    missed: int


class Scores(NamedTuple):
    """Precision, recall and their harmonic mean, each from 0 to 1."""

    precision: float
    recall: float
    f1: float


def entity_agreement(candidate: Graph, reference: Graph) -> dict[str, Agreement]:
    """Count entities of two graphs over the same tokens, for each label and `micro` over all.

    An entity agrees where its span and its label are the same.
    """
    return _by_kind(_entities(candidate), _entities(reference), LABELS)


def relation_agreement(candidate: Graph, reference: Graph) -> dict[str, Agreement]:
    """Count relations of two graphs over the same tokens, for each type and `micro` over all.

    A relation agrees where its type and, at both ends, spans and labels are the same.
    """
    return _by_kind(_relations(candidate), _relations(reference), RELATIONS)


def scores(agreement: Agreement) -> Scores:
    """Return precision, recall and F1; two that hold nothing agree (1), one that holds nothing is missed whole (0)."""
    true, false, missed = agreement
    if true + false + missed == 0:
        return Scores(1.0, 1.0, 1.0)
    precision = true / (true + false) if true + false else 0.0
    recall = true / (true + missed) if true + missed else 0.0
    return Scores(precision, recall, 2 * true / (2 * true + false + missed))


def micro(agreements: Iterable[Agreement]) -> Agreement:
    """Add the counts of many reports."""
    counts = [sum(values) for values in zip(*agreements, strict=True)]
    return Agreement(*counts) if counts else Agreement(0, 0, 0)


def report_f1(candidate: Graph, reference: Graph, reward: Reward = "partial") -> float:
    """Return the F1 of two reports as sets of entities, from 0 to 1.

    An entity counts by its lower-case tokens and label (`entity`); also by whether it has a relation (`partial`); or
    by all its relations with the tokens and labels of their targets (`complete`). Of two graphs without entities the
    F1 is 1: nothing is stated and nothing was to be stated; of one without, 0.
    """
    ours, theirs = _facts(candidate, reward), _facts(reference, reward)
    return scores(Agreement(len(ours & theirs), len(ours - theirs), len(theirs - ours))).f1


def corpus_f1(candidates: Iterable[Graph], references: Iterable[Graph], reward: Reward = "partial") -> float:
    """Return the mean of `report_f1` over pairs of reports. Raises ValueError where there are none, or no pairs."""
    values = [report_f1(ours, theirs, reward) for ours, theirs in zip(candidates, references, strict=True)]
    if not values:
        raise ValueError("there are no reports to compare")
    return sum(values) / len(values)


def _by_kind(
    ours: Counter[tuple[Hashable, str]], theirs: Counter[tuple[Hashable, str]], kinds: Iterable[str]
) -> dict[str, Agreement]:
    """Count (what, kind) pairs for each kind and over all; one that is marked twice counts twice."""
    parts = ours & theirs, ours - theirs, theirs - ours
    counts = {kind: Agreement(*(_of_kind(part, kind) for part in parts)) for kind in kinds}
    return {**counts, MICRO: Agreement(*(part.total() for part in parts))}


def _of_kind(part: Counter[tuple[Hashable, str]], kind: str) -> int:
    return sum(times for (_, own), times in part.items() if own == kind)


def _entities(graph: Graph) -> Counter[tuple[Hashable, str]]:
    return Counter((_span(entity), entity["label"]) for entity in graph["entities"].values())


def _relations(graph: Graph) -> Counter[tuple[Hashable, str]]:
    entities = graph["entities"]
    return Counter(
        ((_labelled(entity), _labelled(entities[target])), kind)
        for entity in entities.values()
        for kind, target in entity["relations"]
    )


def _span(entity: Mapping[str, Any]) -> tuple[int, int]:
    return entity["start_ix"], entity["end_ix"]


def _labelled(entity: Mapping[str, Any]) -> tuple[int, int, str]:
    return entity["start_ix"], entity["end_ix"], entity["label"]


def _facts(graph: Graph, reward: Reward) -> set[Hashable]:
    entities = graph["entities"]
    facts: set[Hashable] = set()
    for entity in entities.values():
        said = entity["tokens"].lower(), entity["label"]
        related = frozenset(
            (kind, entities[target]["tokens"].lower(), entities[target]["label"])
            for kind, target in entity["relations"]
        )
        facts.add({"entity": said, "partial": (*said, bool(related)), "complete": (*said, related)}[reward])
    return facts
