"""Entities of an installed spaCy model (scispaCy's en_core_sci_sm and the like) in place of the lexicon's.

The model decides what is an entity; the lexicon names the ones it knows; the rules judge status, sides and relations.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc

from cxrflow.errors import UserError
from cxrflow.reports.lexicon import ANATOMY, OBSERVATION, STATE, TRIGGER, Lexicon
from cxrflow.reports.pipeline import ParsedReport, Sentence, Span, in_order

_PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_NAMED = (OBSERVATION, STATE, ANATOMY)
# Components that only sentences and word forms come from: our own tokens and sentences are kept.
_NOT_NEEDED = ("parser", "senter", "tagger", "morphologizer", "lemmatizer", "attribute_ruler")


class EntityModel:
    """A loaded model, asked for the entities of texts that were parsed already; built once per process."""

    def __init__(self, name: str, lexicon: Lexicon) -> None:
        self._nlp = load_model(name)
        self._lexicon = lexicon

    def marked(self, reports: Sequence[ParsedReport], batch: int = 64) -> Iterator[ParsedReport]:
        """Yield the reports with the model's entities in place of the lexicon's observations and anatomy."""
        docs = (Doc(self._nlp.vocab, words=list(report.tokens)) for report in reports)
        for report, doc in zip(reports, self._nlp.pipe(docs, batch_size=batch), strict=True):
            entities = [(entity.start, entity.end) for entity in doc.ents]
            sentences = tuple(
                replace(sentence, spans=self._spans(sentence, entities, report.tokens)) for sentence in report.sentences
            )
            yield ParsedReport(report.tokens, sentences)

    def _spans(
        self, sentence: Sentence, entities: Sequence[tuple[int, int]], tokens: Sequence[str]
    ) -> tuple[Span, ...]:
        kept = [span for span in sentence.spans if span.group not in _NAMED]
        for start, end in entities:
            if sentence.start <= start and end <= sentence.end:
                known = [
                    span for span in sentence.spans if span.group in _NAMED and start < span.end and span.start < end
                ]
                if known:
                    kept += known
                else:
                    kept = [span for span in kept if span.group == TRIGGER or span.end <= start or end <= span.start]
                    kept.append(self._unnamed(start, end, tokens))
        return tuple(in_order(dict.fromkeys(kept)))

    def _unnamed(self, start: int, end: int, tokens: Sequence[str]) -> Span:
        """Return an entity that no phrase names: anatomy where its last word is, else an observation of graphs only."""
        name = " ".join(tokens[start:end]).lower()
        anatomy = self._lexicon.group_of_word(tokens[end - 1]) == ANATOMY
        return Span(start, end, ANATOMY if anatomy else OBSERVATION, name)


def load_model(name: str) -> Language:
    """Load a spaCy model by the name of its package or from a folder.

    Loading by name imports the package, so that only plain names pass. Raises UserError where there is no such model,
    or one that marks no entities.
    """
    hint = (
        "Install the model's package for the installed versions of spaCy and scispaCy (scispaCy publishes "
        "en_core_sci_sm, en_core_sci_md, en_core_sci_lg and en_core_sci_scibert beside its releases; packages of "
        "similar names on the package index are not theirs), or unpack it and give the folder with its config.cfg."
    )
    folder = Path(name)
    if not folder.is_dir() and not _PACKAGE.fullmatch(name):
        raise UserError(f"Expected the name of an installed model or an existing folder, found {name!r}.", hint)
    try:
        nlp = spacy.load(folder if folder.is_dir() else name, exclude=_NOT_NEEDED)
    except (OSError, ValueError, ImportError, AttributeError, TypeError) as error:
        raise UserError(f"Cannot load the entity model {name!r}: {error}", hint) from error
    if not any("doc.ents" in nlp.get_pipe_meta(part).assigns for part in nlp.pipe_names):
        raise UserError(
            f"The model {name!r} marks no entities: it has {', '.join(nlp.pipe_names) or 'no parts'}.", hint
        )
    return nlp
