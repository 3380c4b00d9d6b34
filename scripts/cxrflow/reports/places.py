"""Where a finding lies: its side and its site, from the words around it within the sentence."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from cxrflow.reports.context import LIST_WORDS, spans_of
from cxrflow.reports.lexicon import OBSERVATION, PLACE, STATE, Lexicon, comparable
from cxrflow.reports.pipeline import Sentence, Span

SIDES = ("left", "right", "bilateral")
NO_SITE = "none"  # entry of the lexicon for phrases that contain a site's words without its meaning
PLACE_WORDS = 10  # words that may lie between an observation and its place
PLACE_WORDS_PAST_COMMA = 12  # the same where a comma parts them
BREAKS = (",", ";", ":")
CONJUNCTIONS = ("and", "or", "with", "without", "but")
PAIRS = frozenset({"apices", "bases", "fields", "hila", "lobes", "lungs", "sulci", "zones"})  # there is one a side

# Findings of the middle of the body: a side that is told nearby is not theirs.
UNPAIRED = frozenset({
    "aortic_calcification", "cardiomegaly", "degenerative_spine", "enlarged_mediastinum", "heart_failure", "kyphosis",
    "pericardial_effusion", "pneumomediastinum", "scoliosis", "tortuous_aorta",
})  # fmt: skip
# Sites are those of lung and pleura.
WITHOUT_SITE = UNPAIRED | {
    "device", "elevated_diaphragm", "foreign_body", "fracture", "hernia", "subcutaneous_emphysema",
}  # fmt: skip


class Location(NamedTuple):
    """`side` left|right|bilateral|None and `site` upper|middle|lower|apex|hilum|base|None."""

    side: str | None
    site: str | None


NOWHERE = Location(None, None)


class Place(NamedTuple):
    """Tokens `start` to `end` (exclusive) that name a side or a site."""

    start: int
    end: int
    name: str


class Places:
    """The sides and sites that one sentence names, asked for those of an observation."""

    def __init__(self, sentence: Sentence, tokens: Sequence[str], lexicon: Lexicon) -> None:
        self._sentence = sentence
        self._tokens = tokens
        self._lexicon = lexicon

    def __bool__(self) -> bool:
        """Say whether the sentence names any place at all: most do not."""
        return bool(self._sides or self._sites)

    def of(self, span: Span, anatomy: Span | None, finding: str | None) -> Location:
        """Return where the observation at `span` lies; side and site may stand at different places around it."""
        if finding in UNPAIRED:
            return NOWHERE
        reaches = list(self._reaches(span, anatomy))
        side = next((side for reach in reaches if (side := self._side(reach))), None)
        if finding in WITHOUT_SITE:
            return Location(side, None)
        return Location(side, next((site for reach in reaches if (site := self._site(reach, span))), None))

    def _side(self, reach: range) -> str | None:
        """Left and right together are bilateral; so are 'the bases' where no side is named."""
        named = {place.name for place in self._sides if place.start in reach}
        if "bilateral" in named or {"left", "right"} <= named:
            return "bilateral"
        return next(iter(named), "bilateral" if self._pair(reach) else None)

    def _pair(self, reach: range) -> bool:
        """Say whether a site is in the plural by itself: 'lower lobes', but not 'upper and lower lobes'."""
        ends = [place.end for place in self._sites if place.start in reach]
        return any(ends.count(end) == 1 and self._tokens[end - 1].lower() in PAIRS for end in ends)

    def _site(self, reach: range, span: Span) -> str | None:
        """Return the site nearest to the observation, the first of two as near."""
        near = [
            (max(span.start - place.end, place.start - span.end), place)
            for place in self._sites
            if place.start in reach
        ]
        return min(near)[1].name if near else None

    def _reaches(self, span: Span, anatomy: Span | None) -> Iterator[range]:
        """Yield where the place of an observation may be named, the best first.

        Words before it, from the previous observation or comma; words after it, up to the next comma or to the 'and'
        before the next observation; then words that a comma parts from it, if no other observation can claim them.
        """
        start, end = _widened(span, anatomy)
        first, last, alone = self._clear(start, end, span)
        comma = max([first, *(at + 1 for at in range(first, start) if self._tokens[at] in BREAKS)])
        yield range(max(comma, start - PLACE_WORDS), end)
        comma = min([last, *(at for at in range(end, last) if self._tokens[at] in BREAKS)])
        yield range(end, min(comma, end + PLACE_WORDS))
        yield range(max(first, start - PLACE_WORDS_PAST_COMMA), start)
        if alone:
            yield range(end, min(last, end + PLACE_WORDS_PAST_COMMA))

    def _clear(self, start: int, end: int, span: Span) -> tuple[int, int, bool]:
        """Return the words around `start` to `end` that belong to no other observation; whether none follows."""
        before = [other.end for other in self._observed if other != span and other.end <= start]
        after = [_conjunction(end, at.start, self._tokens) for at in self._observed if at != span and at.start >= end]
        return max([self._sentence.start, *before]), min([self._sentence.end, *after]), not after

    @cached_property
    def _observed(self) -> list[Span]:
        return spans_of(self._sentence, OBSERVATION, STATE)

    @cached_property
    def _sides(self) -> list[Place]:
        named = spans_of(self._sentence, PLACE)
        return [Place(span.start, span.end, span.name) for span in named if span.name in SIDES]

    @cached_property
    def _sites(self) -> list[Place]:
        return list(_site_places(self._sentence, self._tokens, self._lexicon))


def _site_places(sentence: Sentence, tokens: Sequence[str], lexicon: Lexicon) -> Iterator[Place]:
    words = [comparable(token) for token in tokens[sentence.start : sentence.end]]
    starts = [at for at, word in enumerate(words, sentence.start) if word in lexicon.sites]
    parting = {at for span in spans_of(sentence, PLACE) for at in range(span.start, span.end)} if starts else set()
    taken = sentence.start
    for start in starts:
        for phrase, name in lexicon.sites[words[start - sentence.start]] if start >= taken else ():
            end = _phrase_end(phrase, start, sentence.end, tokens, parting)
            if end is not None:
                taken = start + 1 if parting.intersection(range(start, end)) else end
                if name != NO_SITE:
                    yield Place(start, end, name)
                break


def _phrase_end(phrase: tuple[str, ...], start: int, stop: int, tokens: Sequence[str], parting: set[int]) -> int | None:
    """Return where a phrase that starts at `start` ends; sides and words of a list may part its words."""
    end = start + 1
    for word in phrase[1:]:
        while end < stop and comparable(tokens[end]) != word:
            if end not in parting and tokens[end].lower() not in LIST_WORDS:
                return None
            end += 1
        if end >= stop:
            return None
        end += 1
    return end


def _widened(span: Span, anatomy: Span | None) -> tuple[int, int]:
    """Let a composite reach over its anatomy: in 'the right hemidiaphragm is elevated' the side precedes the latter."""
    if anatomy is None:
        return span.start, span.end
    return min(span.start, anatomy.start), max(span.end, anatomy.end)


def _conjunction(end: int, start: int, tokens: Sequence[str]) -> int:
    """Return where the words that belong to the observation at `start` begin: after the last 'and' since `end`."""
    return max((at for at in range(end, start) if tokens[at].lower() in CONJUNCTIONS), default=start)
