"""Short forms that a report defines itself: after 'right lower lobe (RLL)' every 'RLL' means what it stands for.

Definitions are found by scispaCy's detector (the algorithm of Schwartz and Hearst 2003).
"""

import warnings
from typing import NamedTuple

from scispacy.abbreviation import AbbreviationDetector
from spacy.language import Language
from spacy.tokens import Doc
from spacy.tokens import Span as DocSpan


class ShortForm(NamedTuple):
    """A short form at tokens `start` to `end` (exclusive), its long form at `long_start` to `long_end`.

    `parenthesis` holds the bounds of the parenthesis that defines it, brackets included, at the definition only.
    """

    start: int
    end: int
    long_start: int
    long_end: int
    parenthesis: tuple[int, int] | None


class AbbreviationFinder:
    """scispaCy's detector beside a pipeline, to be asked about texts that hold a parenthesis."""

    def __init__(self, nlp: Language) -> None:
        self._detector = AbbreviationDetector(nlp)

    def short_forms(self, doc: Doc) -> list[ShortForm]:
        """Return every occurrence of every short form that `doc` defines beside its long form, in order."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"\[W036\]")  # the detector asks a matcher that may hold nothing
            abbreviations = self._detector(doc)._.abbreviations
        found = {_short_form(short, short._.long_form) for short in abbreviations}
        return sorted(short for short in found if short.long_end <= short.start or short.end <= short.long_start)


def _short_form(short: DocSpan, long_form: DocSpan) -> ShortForm:
    parenthesis = None
    if short.start == long_form.end + 1:  # 'long form (short form)'
        parenthesis = (short.start - 1, short.end + 1)
    elif long_form.start == short.end + 1:  # 'short form (long form)'
        parenthesis = (short.end, long_form.end + 1)
    return ShortForm(short.start, short.end, long_form.start, long_form.end, parenthesis)
