from pathlib import Path

import pytest
import yaml

from cxrflow.cohort.openi_index import FINDINGS, SITES
from cxrflow.errors import UserError
from cxrflow.reports.context import MEANINGS
from cxrflow.reports.lexicon import DEFAULT_LEXICON, comparable, expand, load_lexicon
from cxrflow.reports.places import NO_SITE


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("Effusions", "effusion"), ("opacities", "opacity"), ("masses", "mass"), ("mass", "mass"), ("apices", "apex"),
        ("pneumothoraces", "pneumothorax"), ("atelectasis", "atelectasis"), ("thrombus", "thrombus"), ("is", "is"),
    ],
)  # fmt: skip
def test_plurals_compare_equal(word: str, form: str) -> None:
    assert comparable(word) == form


def test_alternatives_are_spelled_out() -> None:
    assert set(expand("left|- lung bases")) == {("left", "lung", "base"), ("lung", "base")}


def test_every_finding_of_the_index_can_be_named() -> None:
    lexicon = load_lexicon()
    named = {term.name for terms in lexicon.phrases.values() for term in terms} | set(lexicon.composites.values())
    assert set(FINDINGS) <= named
    assert set(lexicon.composites.values()) <= set(FINDINGS)


def test_every_site_of_the_index_can_be_named() -> None:
    named = {site for entries in load_lexicon().sites.values() for _, site in entries}
    assert named == {*SITES.values(), NO_SITE}


def test_every_trigger_has_a_meaning_and_a_direction() -> None:
    for name in yaml.safe_load(DEFAULT_LEXICON.read_text())["triggers"]:
        meaning, _, direction = name.rpartition("_")
        assert name in ("neutral", "stop") or (meaning in MEANINGS and direction in ("forward", "backward"))


def test_words_that_yaml_takes_for_truth_values_are_told(tmp_path: Path) -> None:
    content = yaml.safe_load(DEFAULT_LEXICON.read_text())
    content["triggers"]["absent_forward"] = [False]
    (tmp_path / "lexicon.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="Quote"):
        load_lexicon(tmp_path / "lexicon.yaml")


@pytest.mark.parametrize("text", ["observations: {}", "[", "- a"])
def test_other_files_are_no_lexicon(tmp_path: Path, text: str) -> None:
    (tmp_path / "lexicon.yaml").write_text(text)
    with pytest.raises(UserError, match="lexicon"):
        load_lexicon(tmp_path / "lexicon.yaml")
