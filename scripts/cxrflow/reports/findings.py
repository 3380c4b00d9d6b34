"""Findings of a sentence: named outright or composed of an anatomy and its state, each with status and side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from cxrflow.cohort.openi_index import FINDINGS
from cxrflow.reports.context import DIFFERENTIAL, PROBABLE, Context, spans_of
from cxrflow.reports.lexicon import ANATOMY, OBSERVATION, PLACE, QUALITY, STATE, TRIGGER, Lexicon
from cxrflow.reports.pipeline import ParsedReport, Sentence, Span
from cxrflow.reports.settings import ExtractSettings

SIDES = ("left", "right", "bilateral")
SIDE_WORDS = 6  # words that may lie between an observation and its side
BREAKS = (",", ";", ":")
ALTERNATIVES = ("or", "and", "/", "and/or", "versus", "vs")
CONJUNCTIONS = ("and", "or", "with", "without", "but")
COPULAS = ("is", "are", "was", "were")  # these end a negation, yet join an anatomy and what is said of it
VAGUE = ("chest", "bone")  # 'thoracic' in 'tortuous thoracic aorta' is not what is tortuous
_FINDINGS = frozenset(FINDINGS)


@dataclass(frozen=True, slots=True)
class Observation:
    """What is observed at `span`: `finding` is None where only graphs know the name; `anatomy` of a composite."""

    span: Span
    finding: str | None
    status: str
    side: str | None
    anatomy: Span | None = None


@dataclass(frozen=True, slots=True)
class Mention:
    """One row of findings.parquet; `start` and `end` are inclusive token numbers, as in the graphs."""

    finding: str
    status: str
    side: str | None
    sentence: int
    start: int
    end: int


def mentions(report: ParsedReport, lexicon: Lexicon, settings: ExtractSettings) -> list[Mention]:
    """Return the mentions of findings in a report, in the order of sentence and start."""
    rows = {
        _mention(seen.finding, seen, sentence, settings)
        for sentence in report.sentences
        for seen in observations(sentence, report.tokens, lexicon, settings)
        if seen.finding is not None
    }
    return sorted(rows, key=lambda row: (row.sentence, row.start, row.end, row.finding))


def _mention(finding: str, seen: Observation, sentence: Sentence, settings: ExtractSettings) -> Mention:
    status = stated(seen.status, settings)
    return Mention(finding, status, seen.side, sentence.index, seen.span.start, seen.span.end - 1)


def stated(status: str, settings: ExtractSettings) -> str:
    """Bring the five degrees of context.py down to present, uncertain and absent, as the settings say."""
    return {PROBABLE: settings.probable, DIFFERENTIAL: settings.differential}.get(status, status)


def observations(
    sentence: Sentence, tokens: Sequence[str], lexicon: Lexicon, settings: ExtractSettings
) -> list[Observation]:
    """Return everything observed in a sentence: findings, composites, and observations that only graphs show."""
    context = Context(sentence, tokens, settings)
    seen = []
    for span in spans_of(sentence, OBSERVATION, STATE):
        anatomy, finding = _named(span, sentence, tokens, lexicon, settings)
        side = side_of(span, anatomy, sentence, tokens)
        seen.append(Observation(span, finding, context.status(span.start, span.end), side, anatomy))
    return _shared_sides(seen, sentence, tokens)


def side_of(span: Span, anatomy: Span | None, sentence: Sentence, tokens: Sequence[str]) -> str | None:
    """Return the side of what is observed at `span`: left and right together are bilateral.

    Place words before it count up to the previous observation or comma; where there are none, those after it count
    ('opacity in the left base') up to the next comma, or to the 'and' before the next observation.
    """
    start, end = _widened(span, anatomy)
    others = [other for other in spans_of(sentence, OBSERVATION, STATE) if other != span]
    places = [place for place in spans_of(sentence, PLACE) if place.name in SIDES]
    first = max([sentence.start, *(other.end for other in others if other.end <= start)])
    last = min([sentence.end, *(_conjunction(end, other.start, tokens) for other in others if other.start >= end)])
    first = max([first, *(at + 1 for at in range(first, start) if tokens[at] in BREAKS)])
    last = min([last, *(at for at in range(end, last) if tokens[at] in BREAKS)])
    before = {place.name for place in places if max(first, start - SIDE_WORDS) <= place.start < end}
    after = {place.name for place in places if end <= place.start < min(last, end + SIDE_WORDS)}
    named = before or after
    if "bilateral" in named or {"left", "right"} <= named:
        return "bilateral"
    return next(iter(named), None)


def _shared_sides(seen: list[Observation], sentence: Sentence, tokens: Sequence[str]) -> list[Observation]:
    """Let alternatives share the side that one of them gives: 'atelectasis or scar in the left base'."""
    described = {at for word in spans_of(sentence, QUALITY, ANATOMY) for at in range(word.start, word.end)}

    def alternatives(one: Observation, other: Observation) -> bool:
        joined = range(one.span.end, other.span.start)
        return bool(joined) and all(tokens[at].lower() in ALTERNATIVES or at in described for at in joined)

    sides = [observation.side for observation in seen]
    for forward in (True, False):
        pairs = list(pairwise(range(len(seen))))
        for before, after in pairs if forward else reversed(pairs):
            source, target = (before, after) if forward else (after, before)
            if sides[target] is None and alternatives(seen[before], seen[after]):
                sides[target] = sides[source]
    return [replace(observation, side=side) for observation, side in zip(seen, sides, strict=True)]


def _named(
    span: Span, sentence: Sentence, tokens: Sequence[str], lexicon: Lexicon, settings: ExtractSettings
) -> tuple[Span | None, str | None]:
    """Name an observation; a state takes its name from the nearest anatomy (the following one of two as near)."""
    if span.group == OBSERVATION:
        return None, span.name if span.name in _FINDINGS else None
    stops = [at for at in spans_of(sentence, TRIGGER) if at.name == "stop" and tokens[at.start].lower() not in COPULAS]
    near = [
        (gap(span, anatomy), -anatomy.start, anatomy)
        for anatomy in spans_of(sentence, ANATOMY)
        if anatomy.name not in VAGUE and gap(span, anatomy) <= settings.composite_words
        if not any(between(stop, span, anatomy) for stop in stops)
    ]
    if not near:
        return None, None
    anatomy = min(near)[2]
    return anatomy, lexicon.composites.get((anatomy.name, span.name))


def gap(one: Span, other: Span) -> int:
    """Count the tokens between two spans (0 where they touch or overlap)."""
    return max(0, other.start - one.end, one.start - other.end)


def between(middle: Span, one: Span, other: Span) -> bool:
    """Say whether `middle` lies between two spans, touching them at most."""
    left, right = (one, other) if one.start < other.start else (other, one)
    return left.end <= middle.start and middle.end <= right.start


def _widened(span: Span, anatomy: Span | None) -> tuple[int, int]:
    """Let a composite reach over its anatomy: in 'the right hemidiaphragm is elevated' the side precedes the latter."""
    if anatomy is None:
        return span.start, span.end
    return min(span.start, anatomy.start), max(span.end, anatomy.end)


def _conjunction(end: int, start: int, tokens: Sequence[str]) -> int:
    """Return where the words that belong to the observation at `start` begin: after the last 'and' since `end`."""
    return max((at for at in range(end, start) if tokens[at].lower() in CONJUNCTIONS), default=start)
