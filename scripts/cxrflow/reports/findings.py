"""Findings of a sentence: named outright or composed of an anatomy and its state, each with status, side and site."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from cxrflow.cohort.openi_index import FINDINGS
from cxrflow.reports.context import ABSENT, DIFFERENTIAL, PROBABLE, Context, spans_of
from cxrflow.reports.lexicon import ANATOMY, OBSERVATION, QUALITY, STATE, TRIGGER, Lexicon
from cxrflow.reports.pipeline import ParsedReport, Sentence, Span
from cxrflow.reports.places import NOWHERE, UNPAIRED, WITHOUT_SITE, Location, Places
from cxrflow.reports.settings import ExtractSettings

ALTERNATIVES = ("or", "and", "/", "and/or", "versus", "vs")
COPULAS = ("is", "are", "was", "were")  # these end a negation, yet join an anatomy and what is said of it
VAGUE = ("chest", "bone")  # 'thoracic' in 'tortuous thoracic aorta' is not what is tortuous
_FINDINGS = frozenset(FINDINGS)


@dataclass(frozen=True, slots=True)
class Observation:
    """What is observed at `span`: `finding` is None where only graphs know the name; `anatomy` of a composite."""

    span: Span
    finding: str | None
    status: str
    anatomy: Span | None = None
    place: Location = NOWHERE


@dataclass(frozen=True, slots=True)
class Mention:
    """One row of findings.parquet; `start` and `end` are inclusive token numbers, as in the graphs."""

    finding: str
    status: str
    side: str | None
    site: str | None
    sentence: int
    start: int
    end: int


def mentions(report: ParsedReport, lexicon: Lexicon, settings: ExtractSettings) -> list[Mention]:
    """Return the mentions of findings in a report, in the order of sentence and start."""
    rows = {
        _mention(seen.finding, seen, sentence, settings)
        for sentence in report.sentences
        for seen in _placed(sentence, report.tokens, lexicon, settings)
        if seen.finding is not None
    }
    return sorted(rows, key=lambda row: (row.sentence, row.start, row.end, row.finding))


def _mention(finding: str, seen: Observation, sentence: Sentence, settings: ExtractSettings) -> Mention:
    status = stated(seen.status, settings)
    return Mention(finding, status, *seen.place, sentence.index, seen.span.start, seen.span.end - 1)


def stated(status: str, settings: ExtractSettings) -> str:
    """Bring the five degrees of context.py down to present, uncertain and absent, as the settings say."""
    return {PROBABLE: settings.probable, DIFFERENTIAL: settings.differential}.get(status, status)


def observations(
    sentence: Sentence, tokens: Sequence[str], lexicon: Lexicon, settings: ExtractSettings
) -> list[Observation]:
    """Return everything observed in a sentence: findings, composites, and observations that only graphs show.

    Places are left open: graphs tell them by their relations.
    """
    context = Context(sentence, tokens, settings)
    seen = []
    for span in spans_of(sentence, OBSERVATION, STATE):
        anatomy, finding = _named(span, sentence, tokens, lexicon, settings)
        seen.append(Observation(span, finding, context.status(span.start, span.end), anatomy))
    return seen


def _placed(
    sentence: Sentence, tokens: Sequence[str], lexicon: Lexicon, settings: ExtractSettings
) -> list[Observation]:
    """Return the observations of a sentence with their places, if a finding is among them."""
    seen = observations(sentence, tokens, lexicon, settings)
    places = Places(sentence, tokens, lexicon)
    if not any(each.finding for each in seen) or not places:
        return seen
    found = [replace(each, place=places.of(each.span, each.anatomy, each.finding)) for each in seen]
    return _with_shared_places(found, sentence, tokens)


def _with_shared_places(seen: list[Observation], sentence: Sentence, tokens: Sequence[str]) -> list[Observation]:
    """Give observations without a place of their own that of their neighbours.

    Alternatives share what one of them names ('atelectasis or scar in the left base'). What is observed nowhere lies
    where the observation before it does ('opacity in the left base, likely atelectasis').
    """
    described = {at for word in spans_of(sentence, QUALITY, ANATOMY) for at in range(word.start, word.end)}

    def alternatives(one: Observation, other: Observation) -> bool:
        joined = range(one.span.end, other.span.start)
        return bool(joined) and all(tokens[at].lower() in ALTERNATIVES or at in described for at in joined)

    placed = list(seen)
    for forward in (True, False):
        pairs = list(pairwise(range(len(seen))))
        for before, after in pairs if forward else reversed(pairs):
            source, target = (before, after) if forward else (after, before)
            if alternatives(seen[before], seen[after]):
                placed[target] = _placed_like(placed[target], placed[source])
    for before, after in pairwise(range(len(seen))):
        if placed[after].place == NOWHERE and ABSENT not in (seen[before].status, seen[after].status):
            placed[after] = _placed_like(placed[after], placed[before])
    return placed


def _placed_like(target: Observation, source: Observation) -> Observation:
    """Fill in what a place lacks; no site for an effusion, which sinks to the base whatever lies above it."""
    if target.finding in UNPAIRED:
        return target
    site = None if target.finding in WITHOUT_SITE or target.finding == "effusion" else source.place.site
    return replace(target, place=Location(target.place.side or source.place.side, target.place.site or site))


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
