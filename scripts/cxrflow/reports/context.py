"""Status of a mention from the words around it: rules of the NegEx (Chapman 2001) and ConText (Harkema 2009) family.

A trigger reaches forward or backward within its sentence until a stop phrase or `scope_words` words; the nearest
trigger that reaches a mention decides. Linking phrases ('suggestive of', 'due to') pass on what is said of themselves:
in 'no opacity to suggest pneumonia' the pneumonia is absent.
"""

from collections.abc import Sequence
from typing import NamedTuple

from cxrflow.reports.lexicon import TRIGGER
from cxrflow.reports.pipeline import Sentence, Span
from cxrflow.reports.settings import ExtractSettings

PRESENT, PROBABLE, DIFFERENTIAL, UNCERTAIN, ABSENT = "present", "probable", "differential", "uncertain", "absent"
PAST_COMMAS = ("absent_forward", "absent_backward", "differential_list_forward")
LINKS = ("link_forward", "probable_forward", "confident_forward", "suggest_forward", "hypothesis_forward")
MEANINGS = {
    "absent": ABSENT,
    "confident": PRESENT,
    "differential": DIFFERENTIAL,
    "differential_list": UNCERTAIN,
    "hypothesis": UNCERTAIN,
    "link": UNCERTAIN,
    "probable": PROBABLE,
    "remote": ABSENT,
    "suggest": UNCERTAIN,
    "uncertain": UNCERTAIN,
}
LIST_WORDS = (",", "or", "and", "/", "and/or")
_NO_EFFECT = ("neutral", "stop")


class Trigger(NamedTuple):
    """A trigger phrase at tokens `start` to `end` (exclusive); `name` is its entry in the lexicon."""

    start: int
    end: int
    name: str


class Context:
    """The triggers of one sentence, asked for the status of any place in it."""

    def __init__(self, sentence: Sentence, tokens: Sequence[str], settings: ExtractSettings) -> None:
        found = [Trigger(span.start, span.end, span.name) for span in sentence.spans if span.group == TRIGGER]
        self._triggers = [trigger for trigger in found if trigger.name not in _NO_EFFECT]
        self._stops = [trigger.start for trigger in found if trigger.name == "stop"]
        self._tokens = tokens
        self._listable = {at for span in sentence.spans if span.group != TRIGGER for at in range(span.start, span.end)}
        self._settings = settings
        self.links = [trigger for trigger in self._triggers if trigger.name in LINKS]

    def status(self, start: int, end: int) -> str:
        """Return present, probable, differential, uncertain or absent for the tokens `start` to `end` (exclusive)."""
        reaching = [
            (distance, trigger.name, trigger)
            for trigger in self._triggers
            if (distance := self._distance(trigger, start, end)) is not None
        ]
        if not reaching:
            return PRESENT
        _, name, trigger = min(reaching)
        return self._meaning(name, trigger)

    def _meaning(self, name: str, trigger: Trigger) -> str:
        if name in LINKS and (passed_on := self.status(trigger.start, trigger.end)) != PRESENT:
            return passed_on
        return MEANINGS[name.rpartition("_")[0]]

    def _distance(self, trigger: Trigger, start: int, end: int) -> int | None:
        """Count the words between trigger and mention; None where the trigger does not reach it."""
        forward = trigger.name.endswith("forward")
        left, right = (trigger.end, start) if forward else (end, trigger.start)
        if not 0 <= right - left <= self._settings.scope_words or any(left <= stop < right for stop in self._stops):
            return None
        if trigger.name not in PAST_COMMAS and self._broken(left, right):
            return None
        return right - left

    def listed(self, left: int, right: int) -> bool:
        """Say whether the tokens between two places only join terms of a list ('edema, and small effusions')."""
        return all(at in self._listable or self._tokens[at].lower() in LIST_WORDS for at in range(left, right))

    def _broken(self, left: int, right: int) -> bool:
        """Say whether a comma ends the clause between two places: one that does not just separate terms of a list."""
        return "," in self._tokens[left:right] and not self.listed(left, right)


def spans_of(sentence: Sentence, *groups: str) -> list[Span]:
    """Return the spans of a sentence that belong to one of `groups`."""
    return [span for span in sentence.spans if span.group in groups]
