"""The radiology lexicon: phrases from lexicon.yaml, expanded, made comparable, and matched by spaCy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from cxrflow.errors import UserError

DEFAULT_LEXICON = Path(__file__).with_name("lexicon.yaml")
GROUPS = ("observations", "states", "anatomy", "places", "qualities", "triggers")
OBSERVATION, STATE, ANATOMY, PLACE, QUALITY, TRIGGER = GROUPS

COMPOSITES, SITES = TABLES = ("composites", "sites")

# Plurals that a stripped "s" does not undo.
IRREGULAR = {
    "apices": "apex", "bases": "base", "bronchi": "bronchus", "calculi": "calculus", "diagnoses": "diagnosis",
    "foci": "focus", "hila": "hilum", "masses": "mass", "metastases": "metastasis", "pneumothoraces": "pneumothorax",
    "processes": "process", "prostheses": "prosthesis", "vertebrae": "vertebra", "sulci": "sulcus", "viruses": "virus",
}  # fmt: skip


class Term(NamedTuple):
    """What a phrase means: its group (observations, states, ...) and its name there (a finding, a place, ...)."""

    group: str
    name: str


@dataclass(frozen=True)
class Lexicon:
    """Phrases (tuples of comparable words) with their meaning, the composites (anatomy, state) -> finding, and sites.

    `sites` are matched apart from the phrases: first word -> (phrase, site), longer phrases first.
    """

    phrases: Mapping[tuple[str, ...], tuple[Term, ...]]
    composites: Mapping[tuple[str, str], str]
    sites: Mapping[str, Sequence[tuple[tuple[str, ...], str]]]

    def group_of_word(self, word: str) -> str | None:
        """Return the group of a single word, None where it is no term by itself."""
        terms = self.phrases.get((comparable(word),))
        return terms[0].group if terms else None


@lru_cache(maxsize=200_000)
def comparable(word: str) -> str:
    """Return the form in which words are compared: lower case, without a plural s."""
    word = word.lower()
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    plural = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is", "'s"))
    return word[:-1] if plural else word


def expand(phrase: str) -> Iterator[tuple[str, ...]]:
    """Spell out the alternatives of a phrase: 'left|- lung base' gives (left, lung, base) and (lung, base)."""
    for words in product(*(word.split("|") for word in phrase.split())):
        yield tuple(comparable(word) for word in words if word != "-")


def load_lexicon(path: Path = DEFAULT_LEXICON) -> Lexicon:
    """Read a lexicon file. Raises UserError where it is no YAML, a group is unknown, or a composite names none."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        hint = "Compare with the lexicon that is shipped."
        raise UserError(f"Cannot read the lexicon {path}: {error}", hint) from error
    if not isinstance(content, dict) or set(content) != {*GROUPS, *TABLES}:
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise UserError(f"Expected the groups {(*GROUPS, *TABLES)} in {path}, found {found}.", "Keep them all.")
    phrases: dict[tuple[str, ...], dict[Term, None]] = {}
    for words, term in _entries(content, GROUPS):
        phrases.setdefault(words, {})[term] = None
    composites = {(anatomy, state): finding for anatomy, state, finding in content["composites"]}
    for anatomy, state in composites:
        if anatomy not in content[ANATOMY] or state not in content[STATE]:
            raise UserError(f"The composite {anatomy}+{state} in {path} names no entry.", "Add it to both groups.")
    sites: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for words, term in _entries(content, (SITES,)):
        sites.setdefault(words[0], []).append((words, term.name))
    for named in sites.values():
        named.sort(key=lambda entry: -len(entry[0]))
    return Lexicon({words: tuple(terms) for words, terms in phrases.items()}, composites, sites)


def _entries(content: Mapping[str, Any], groups: Sequence[str]) -> Iterator[tuple[tuple[str, ...], Term]]:
    for group in groups:
        for name, phrases in content[group].items():
            for phrase in phrases:
                if not isinstance(phrase, str):
                    raise UserError(f"Expected text under {group}.{name}, found {phrase!r}.", 'Quote words like "no".')
                yield from ((words, Term(group, name)) for words in expand(phrase))
