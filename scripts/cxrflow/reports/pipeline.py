"""Tokens, sentences and lexicon terms of report texts: a blank spaCy pipeline with scispaCy's tokenizer rules."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import spacy
from scispacy.custom_tokenizer import combined_rule_tokenizer
from spacy.attrs import NORM, ORTH
from spacy.language import Language
from spacy.matcher import PhraseMatcher
from spacy.tokens import Doc
from spacy.util import compile_infix_regex

from cxrflow.cohort.sections import BLANK
from cxrflow.reports.abbreviations import AbbreviationFinder, ShortForm
from cxrflow.reports.lexicon import TRIGGER, Lexicon, comparable
from cxrflow.reports.sentences import sentence_bounds
from cxrflow.reports.settings import ExtractSettings

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

    def __init__(self, lexicon: Lexicon, settings: ExtractSettings) -> None:
        self._lexicon = lexicon
        self._nlp = _pipeline(settings)
        self._matcher = PhraseMatcher(self._nlp.vocab, attr="NORM")
        self._matcher.add("term", [Doc(self._nlp.vocab, words=list(words)) for words in lexicon.phrases])
        self._abbreviations = AbbreviationFinder(self._nlp) if settings.abbreviations else None

    def parse(self, texts: Iterable[str], batch: int = 256) -> Iterator[ParsedReport]:
        """Stream parsed reports in the order of `texts`; blanks are set apart ('x-___.' would hide a full stop)."""
        spaced = (" ".join(text.replace(BLANK, f" {BLANK} ").split()) for text in texts)
        for doc in self._nlp.pipe(spaced, batch_size=batch):
            yield self._parsed(doc)

    def parse_words(self, words: Sequence[str]) -> ParsedReport:
        """Parse a text that others have cut into tokens, keeping these (which hold no whitespace)."""
        doc = Doc(self._nlp.vocab, words=list(words))
        for _, component in self._nlp.pipeline:
            doc = component(doc)
        return self._parsed(doc)

    def _parsed(self, doc: Doc) -> ParsedReport:
        tokens = tuple(token.text for token in doc)
        spans = self._spans(doc)
        if self._abbreviations is not None and "(" in tokens:
            spans = spelled_out(spans, self._abbreviations.short_forms(doc))
        if doc.has_annotation("SENT_START"):
            bounds = [(sentence.start, sentence.end) for sentence in doc.sents]
        else:
            bounds = list(sentence_bounds(tokens))
        sentences = []
        for index, (start, end) in enumerate(bounds):
            inside = tuple(span for span in spans if start <= span.start and span.end <= end)
            sentences.append(Sentence(index, start, end, inside))
        return ParsedReport(tokens, tuple(sentences))

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
        return in_order(spans)


def spelled_out(spans: Sequence[Span], short_forms: Iterable[ShortForm]) -> list[Span]:
    """Give short forms the terms of their long forms; the parenthesis of a definition then says nothing of its own.

    In 'no congestive heart failure (CHF) or edema' it would end the negation and leave a CHF that nobody denies. A long
    form that the lexicon does not know changes nothing.
    """
    known = list(spans)
    for short in short_forms:
        inside = [span for span in spans if short.long_start <= span.start and span.end <= short.long_end]
        terms = dict.fromkeys((span.group, span.name) for span in inside if span.group != TRIGGER)
        if not terms:
            continue
        first, last = short.parenthesis or (short.start, short.end)
        silent = first <= short.start < last and short.parenthesis is not None
        known = [span for span in known if _apart(span, first, last) and _apart(span, short.start, short.end)]
        if not silent:
            known += [Span(short.start, short.end, group, name) for group, name in terms]
    return in_order(known)


def _apart(span: Span, start: int, end: int) -> bool:
    return span.end <= start or end <= span.start


def in_order(spans: Iterable[Span]) -> list[Span]:
    """Sort spans as sentences hold them."""
    return sorted(spans, key=lambda span: (span.start, span.group, span.name))


def _pipeline(settings: ExtractSettings) -> Language:
    nlp = spacy.blank("en")
    cast(Any, nlp.vocab).lex_attr_getters[NORM] = comparable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # spaCy's own character classes
        nlp.tokenizer = combined_rule_tokenizer(nlp)
        infixes = [nlp.tokenizer.infix_finditer.__self__.pattern, _SLASH_BETWEEN_WORDS]
        nlp.tokenizer.infix_finditer = compile_infix_regex(infixes).finditer
    nlp.tokenizer.add_special_case(BLANK, [{ORTH: BLANK}])
    if settings.sentences == "scispacy":
        import scispacy.custom_sentence_segmenter  # noqa: F401  (makes the component known to spaCy)

        nlp.add_pipe("pysbd_sentencizer")
    return nlp
