"""Tokens, sentences and lexicon terms of report texts: a blank spaCy pipeline with scispaCy's tokenizer rules."""

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import spacy
from scispacy.custom_tokenizer import combined_rule_tokenizer
from spacy.attrs import NORM, ORTH
from spacy.language import Language
from spacy.matcher import PhraseMatcher
from spacy.tokens import Doc
from spacy.util import compile_infix_regex

from cxrflow.reports.lexicon import Lexicon, comparable
from cxrflow.reports.sections import BLANK

_FULL_STOP = re.compile(r"[.?!]+")
_SLASH_BETWEEN_WORDS = r"(?<=[A-Za-z_])/(?=[A-Za-z_])"


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens `start` to `end` (exclusive, counted in the whole text) that carry a term of the lexicon."""

    start: int
    end: int
    group: str
    name: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """Tokens `start` to `end` (exclusive) of a text, with the terms found in them, in order."""

    index: int
    start: int
    end: int
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class ParsedReport:
    """A text as tokens and as sentences; tokens never hold whitespace, so that joining them by spaces can be undone."""

    tokens: tuple[str, ...]
    sentences: tuple[Sentence, ...]


class ReportParser:
    """Turns texts into ParsedReports; built once per process (its spaCy objects cannot be shared by processes)."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._nlp = _pipeline()
        self._matcher = PhraseMatcher(self._nlp.vocab, attr="NORM")
        self._matcher.add("term", [Doc(self._nlp.vocab, words=list(words)) for words in lexicon.phrases])

    def parse(self, texts: Iterable[str], batch: int = 256) -> Iterator[ParsedReport]:
        """Stream parsed reports in the order of `texts`; blanks are set apart ('x-___.' would hide a full stop)."""
        spaced = (" ".join(text.replace(BLANK, f" {BLANK} ").split()) for text in texts)
        for doc in self._nlp.pipe(spaced, batch_size=batch):
            yield self._parsed(doc)

    def _parsed(self, doc: Doc) -> ParsedReport:
        spans = self._spans(doc)
        sentences = []
        for index, (start, end) in enumerate(_sentence_bounds(doc)):
            inside = tuple(span for span in spans if start <= span.start and span.end <= end)
            sentences.append(Sentence(index, start, end, inside))
        return ParsedReport(tuple(token.text for token in doc), tuple(sentences))

    def _spans(self, doc: Doc) -> list[Span]:
        """Keep the longest phrases that do not overlap (the first of two equally long ones)."""
        taken: set[int] = set()
        spans: list[Span] = []
        matches = sorted(self._matcher(doc, as_spans=False), key=lambda match: (match[1] - match[2], match[1]))
        for _, start, end in matches:
            if taken.isdisjoint(range(start, end)):
                taken.update(range(start, end))
                words = tuple(token.norm_ for token in doc[start:end])
                spans.extend(Span(start, end, term.group, term.name) for term in self._lexicon.phrases[words])
        return sorted(spans, key=lambda span: (span.start, span.group, span.name))


def _sentence_bounds(doc: Doc) -> Iterator[tuple[int, int]]:
    """Cut after tokens that are only full stops.

    The tokenizer has already told stops from decimals and abbreviations. scispaCy's own sentence splitter (pySBD) was
    ten times slower here and joined sentences around the doubled stops that de-identification leaves behind.
    """
    start = 0
    for position, token in enumerate(doc):
        if _FULL_STOP.fullmatch(token.text):
            yield start, position + 1
            start = position + 1
    if start < len(doc):
        yield start, len(doc)


def _pipeline() -> Language:
    nlp = spacy.blank("en")
    cast(Any, nlp.vocab).lex_attr_getters[NORM] = comparable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # spaCy's own character classes
        nlp.tokenizer = combined_rule_tokenizer(nlp)
        infixes = [nlp.tokenizer.infix_finditer.__self__.pattern, _SLASH_BETWEEN_WORDS]
        nlp.tokenizer.infix_finditer = compile_infix_regex(infixes).finditer
    nlp.tokenizer.add_special_case(BLANK, [{ORTH: BLANK}])
    return nlp
