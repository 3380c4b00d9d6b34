"""Findings that an annotated graph states: names from the lexicon, status, side and site from labels and relations.

An annotator cuts 'small left pleural effusion' into four entities and relates them; a finding is named by the longest
phrase of the lexicon within the words of an observation, its modifiers and its anatomy.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence

from cxrflow.cohort.openi_index import FINDINGS
from cxrflow.reports.findings import Mention
from cxrflow.reports.lexicon import ANATOMY, OBSERVATION, PLACE, STATE, Lexicon, Term, comparable
from cxrflow.reports.pipeline import Sentence, Span
from cxrflow.reports.places import Location, Places
from cxrflow.reports.radgraph_schema import STATUSES, Annotation
from cxrflow.reports.sentences import sentence_bounds

_FINDINGS = frozenset(FINDINGS)


def annotated_mentions(annotation: Annotation, lexicon: Lexicon) -> list[Mention]:
    """Return the mentions of findings in an annotated report, in the order of sentence and start."""
    starts = [start for start, _ in sentence_bounds(annotation.tokens)]
    graph = _Neighbours(annotation)
    rows = set()
    for at, entity in enumerate(annotation.entities):
        if entity.label in STATUSES:
            for finding in _findings(graph, at, lexicon):
                location = _location(graph, at, finding, lexicon)
                rows.add(
                    Mention(
                        finding=finding,
                        status=STATUSES[entity.label],
                        side=location.side,
                        site=location.site,
                        sentence=bisect_right(starts, entity.start) - 1,
                        start=entity.start,
                        end=entity.end - 1,
                    )
                )
    return sorted(rows, key=lambda row: (row.sentence, row.start, row.end, row.finding))


class _Neighbours:
    """The words around an entity of a graph, by the part they play for it."""

    def __init__(self, annotation: Annotation) -> None:
        self._tokens = annotation.tokens
        self._entities = annotation.entities
        self._modifiers: dict[int, list[int]] = {}
        for source, entity in enumerate(annotation.entities):
            for kind, target in entity.relations:
                if kind == "modify":
                    self._modifiers.setdefault(target, []).append(source)

    def places(self, *positions: int) -> list[int]:
        """Return the token numbers of entities, each once, in order."""
        entities = [self._entities[position] for position in positions]
        return sorted({at for entity in entities for at in range(entity.start, entity.end)})

    def tokens(self, *positions: int) -> list[str]:
        """Return the tokens of entities, each once, in the order of the text."""
        return [self._tokens[at] for at in self.places(*positions)]

    def words(self, *positions: int) -> list[str]:
        """Return the tokens of entities in the form in which words are compared."""
        return [comparable(token) for token in self.tokens(*positions)]

    def modifiers(self, at: int) -> list[int]:
        return self._modifiers.get(at, [])

    def anatomies(self, at: int) -> list[int]:
        """Return where an observation is located, or which anatomy it modifies ('low' of 'lung volumes')."""
        relations = self._entities[at].relations
        return [
            target
            for kind, target in relations
            if kind == "located_at" or (kind == "modify" and self._entities[target].label not in STATUSES)
        ]

    def around(self, at: int) -> list[int]:
        """Return an observation with its modifiers, its anatomy and the modifiers of that."""
        anatomies = self.anatomies(at)
        describing = [source for place in anatomies for source in self.modifiers(place)]
        return [at, *self.modifiers(at), *anatomies, *describing]


def _findings(graph: _Neighbours, at: int, lexicon: Lexicon) -> Iterator[str]:
    anatomies, modifiers = graph.anatomies(at), graph.modifiers(at)
    head = graph.words(at)
    around = [graph.words(at, *modifiers, *anatomies)]
    # 'emphysema in the subcutaneous tissue' is named by what its words say in the order of a noun phrase.
    around += [[*graph.words(*modifiers), *graph.words(place), *head] for place in anatomies]
    for term in _longest(around, head, (OBSERVATION, STATE), lexicon):
        if term.group == OBSERVATION:
            if term.name in _FINDINGS:
                yield term.name
            continue
        for place in anatomies:
            words = graph.words(place, *graph.modifiers(place))
            for anatomy in _longest([words], graph.words(place), (ANATOMY,), lexicon):
                if finding := lexicon.composites.get((anatomy.name, term.name)):
                    yield finding


def _longest(
    texts: Sequence[Sequence[str]], head: Collection[str], groups: Collection[str], lexicon: Lexicon
) -> list[Term]:
    """Return what the longest phrase of these groups means that holds a word of `head` (the last of equal ones)."""
    best: tuple[int, list[Term]] = (0, [])
    for words in texts:
        for start in range(len(words)):
            for end in range(start + max(1, best[0]), len(words) + 1):
                terms = [term for term in lexicon.phrases.get(tuple(words[start:end]), ()) if term.group in groups]
                if terms and not set(head).isdisjoint(words[start:end]):
                    best = (end - start, terms)
    return best[1]


def _location(graph: _Neighbours, at: int, finding: str, lexicon: Lexicon) -> Location:
    """Read the place off the related words, as if these were the sentence."""
    around = graph.around(at)
    tokens, numbers, own = graph.tokens(*around), graph.places(*around), graph.places(at)
    head = Span(numbers.index(own[0]), numbers.index(own[-1]) + 1, OBSERVATION, finding)
    named = [
        Span(at, at + 1, PLACE, term.name)
        for at, token in enumerate(tokens)
        for term in lexicon.phrases.get((comparable(token),), ())
        if term.group == PLACE
    ]
    sentence = Sentence(0, 0, len(tokens), (*named, head))
    return Places(sentence, tokens, lexicon).of(head, None, finding)
