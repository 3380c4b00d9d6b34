import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrflow.cohort.mimic_sections import CHOSEN, mimic_sections, public_name, public_rules
from cxrflow.cohort.sections import canonical_name, report_text

STUDY = "50000001"  # not ruled by hand
NAMED_NOTE, NAMED_RECOMMENDATIONS, NAMED_INDICATION = "56451190", "59768032", "50058765"
NOTHING_SEEN = ["50798377", "52035334", "53071062", "53607029", "54168089", "54231141", "56724958", "58235663"]


def both(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the sections by default, and as the public parser cuts them."""
    default, legacy = mimic_sections(STUDY, text, False), mimic_sections(STUDY, text, True)
    assert default is not None
    assert legacy is not None
    return default, legacy


def labelled(text: str) -> str:
    return report_text(both(text)[1], CHOSEN, "first")


def test_the_public_parser_sees_capitals_only() -> None:
    default, legacy = both("FINAL REPORT\n FINDINGS: Clear.\n Impression: Normal.\n")
    assert (default["findings"], default["impression"]) == ("Clear.", "Normal.")
    assert legacy == {"preamble": "FINAL REPORT", "findings": "Clear.\n Impression: Normal."}


@pytest.mark.parametrize("text", ["FINDINGS: Clear.\n", " FINDINGS: Clear.\n", "REPORT\nFINDINGS: Clear.\n"])
def test_the_public_parser_needs_a_line_before_the_header_and_a_blank(text: str) -> None:
    default, legacy = both(text)
    assert default["findings"] == "Clear."
    assert legacy == {"full report": text.strip()}


def test_more_than_one_blank_before_a_header_is_fine() -> None:
    for sections in both("\n   EXAM: Portable.\n"):
        assert sections["examination"] == "Portable."


def test_a_blank_line_before_the_only_header_makes_a_blank_last_paragraph_in_the_public_parser() -> None:
    default, legacy = both("No change.\n \n FINDINGS: \n")
    assert default == {"last_paragraph": "No change."}
    assert legacy == {"preamble": "No change.", "last_paragraph": ""}


def test_the_public_parser_misses_a_header_right_after_one_that_ends_its_line() -> None:
    default, legacy = both("\n FINDINGS:\n IMPRESSION: Normal.\n COMPARISON: None.\n")
    assert (default["impression"], "findings" in default) == ("Normal.", False)
    assert (legacy["findings"], "impression" in legacy) == ("IMPRESSION: Normal.", False)
    assert legacy["comparison"] == "None."


def test_of_sections_with_one_name_the_public_parser_keeps_the_last() -> None:
    default, legacy = both("\n IMPRESSION: One.\n CONCLUSION: Two.\n")
    assert default["impression"] == "One. Two."
    assert legacy["impression"] == "Two."


def test_an_empty_section_does_not_hide_an_earlier_one() -> None:
    for sections in both("\n FINDINGS: Clear.\n \n PORTABLE CHEST:  \n \n COMPARISON: None.\n"):
        assert sections["findings"] == "Clear."


def test_a_title_without_text_is_no_findings_section() -> None:
    for sections in both("\n CHEST, PA LATERAL:\n \n INDICATION: Cough.\n \n No change.\n"):
        assert "findings" not in sections
        assert (sections["indication"], sections["last_paragraph"]) == ("Cough.", "No change.")


def test_the_last_paragraph_starts_after_a_line_of_one_blank_in_the_public_parser() -> None:
    default, legacy = both("\n COMPARISON: None.\n\n No change.\n \n Still clear.\n")
    assert (default["comparison"], default["last_paragraph"]) == ("None.", "No change. Still clear.")
    assert (legacy["comparison"], legacy["last_paragraph"]) == ("None.\n\n No change.", "Still clear.")


def test_there_is_no_last_paragraph_beside_an_impression() -> None:
    for sections in both("\n IMPRESSION: Normal.\n \n TECHNIQUE: Portable.\n \n Signed.\n"):
        assert "last_paragraph" not in sections


def test_the_public_parser_leaves_line_breaks_blanks_and_list_numbers() -> None:
    default, legacy = both("\n IMPRESSION: \n 1. Compared to ____,\n   clear.\n 2. Normal\n")
    assert default["impression"] == "Compared to ___, clear. Normal"
    assert legacy["impression"] == "1. Compared to ____,\n   clear.\n 2. Normal"


@pytest.mark.parametrize(
    ("header", "default", "legacy"),
    [
        ("NDICATION", "indication", "impression"), ("MPRESSION", "impression", "impression"),
        ("CONCLUSION", "impression", "impression"), ("SUMMARY", "impression", "summary"),
        ("COMMENT", "findings", "comment"), ("COMMENTS", "findings", "comments"),
        ("PFI", "wet_read", "history"), ("PROVISIONAL FINDINGS IMPRESSION (PFI)", "wet_read", "impression"),
        ("WETREAD", "wet_read", "wet read"), ("RECOMMENDATION(S)", "recommendation", "recommendations"),
        ("CHEST, TWO VIEWS", "findings", "findings"), ("RIGHT RIBS", "findings", "findings"),
        ("BONE WINDOW", "findings", "findings"), ("UPRIGHT AP", "findings", "upright ap"),
        ("CRIBS", "cribs", "findings"), ("CHESTXRAY", "findings", "findings"),
        ("VIEWS", "technique", "views"), ("STUDY", "examination", "study"),
        ("FINDINGS AND  IMPRESSION", "impression", "impression"), ("LIMITED HISTORY", "history", "history"),
        ("HISTORY AND COMPARISON", "comparison", "history"), ("ADDENDUM TO REPORT", "addendum", "addendum"),
        ("INDICATION AND TECHNIQUE", "indication", "indication and technique"), ("DATE", "date", "date"),
    ],
)  # fmt: skip
def test_names_of_headers_in_both_modes(header: str, default: str, legacy: str) -> None:
    assert (canonical_name(header), public_name(header)) == (default, legacy)


def test_every_public_spelling_means_the_same_by_default_save_for_named_departures() -> None:
    renamed = {"wet read": "wet_read", "recommendations": "recommendation"}
    departures = {"ndication", "pfi", "comment"}
    for header, section in public_rules().section_of.items():
        if header not in departures:
            assert canonical_name(header) == renamed.get(section, section), header


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("\n FINDINGS: Clear.\n IMPRESSION: Normal.\n", "Normal."),
        ("\n COMPARISON: None.\n FINDINGS: Clear.\n", "Clear."),
        ("\n COMPARISON: None.\n HISTORY: Cough.\n \n No change.\n", "No change."),
        ("\n COMPARISON: Unchanged since then.\n", "Unchanged since then."),
        ("No header at all.", ""),
    ],
)
def test_the_labelling_text_is_the_first_chosen_section(text: str, label: str) -> None:
    assert labelled(text) == label


def test_a_blank_last_paragraph_gives_way_to_the_comparison() -> None:
    text = "\n COMPARISON: None.\n \n"
    assert both(text)[1]["last_paragraph"] == ""
    assert labelled(text) == "None."


def test_the_published_numbers_of_studies_ruled_by_hand() -> None:
    rules = public_rules()
    assert (len(rules.sections_by_hand), len(rules.characters_by_hand)) == (23, 31)
    ids = [*rules.sections_by_hand, *rules.characters_by_hand]
    assert len(set(ids)) == 54
    assert all(re.fullmatch(r"s5\d{7}", study) for study in ids)
    assert all(start < end or start == end == 0 for start, end in rules.characters_by_hand.values())


@pytest.mark.parametrize("study", ["50525523", NAMED_NOTE, *NOTHING_SEEN])
def test_studies_ruled_by_hand_are_absent_from_the_public_table(study: str) -> None:
    assert mimic_sections(study, "\n IMPRESSION: Normal.\n", True) is None


@pytest.mark.parametrize(
    ("study", "start", "end"), [("50525523", 201, 349), ("51410602", 47, 320), ("56412866", 522, 822)]
)
def test_a_range_of_characters_is_the_impression(study: str, start: int, end: int) -> None:
    header = "FINAL REPORT\n FINDINGS: "
    text = header + "a" * (start - len(header)) + "b" * (end - start) + "c" * 100
    assert mimic_sections(study, text, False) == {"impression": "b" * (end - start)}
    assert mimic_sections(f"s{study}", text.replace("\n", "\r\n"), False) == {"impression": "b" * (end - start)}


@pytest.mark.parametrize("study", NOTHING_SEEN)
def test_a_study_without_usable_text_has_no_sections(study: str) -> None:
    assert mimic_sections(study, "\n IMPRESSION: Images are not available.\n", False) == {}


def test_a_section_named_by_hand_stands_for_the_report() -> None:
    text = "\n FINDINGS: See below.\n HISTORY: Cough.\n NOTE: 1. Lungs are clear.\n"
    sections = mimic_sections(NAMED_NOTE, text, False)
    assert sections == {"history": "Cough.", "last_paragraph": "Lungs are clear."}
    assert report_text(sections) == "Lungs are clear."


def test_the_last_of_the_sections_named_by_hand_counts() -> None:
    text = "\n INDICATION: Cough.\n REASON FOR EXAM: Lungs are clear.\n TECHNIQUE: Portable.\n"
    sections = mimic_sections(NAMED_INDICATION, text, False)
    assert sections == {"technique": "Portable.", "last_paragraph": "Lungs are clear."}


def test_a_section_named_by_hand_is_the_whole_public_cut() -> None:
    text = "\n FINDINGS: See below.\n RECOMMENDATIONS: CT.\n Impression: Nodule.\n"
    assert mimic_sections(NAMED_RECOMMENDATIONS, text, False) == {"last_paragraph": "CT. Impression: Nodule."}


def test_a_text_without_the_section_named_by_hand_is_parsed_like_any_other() -> None:
    assert mimic_sections(NAMED_NOTE, "\n IMPRESSION: Normal.\n", False) == {"impression": "Normal."}


@given(st.text("FINDGSCOMPARE: \n\r.x", max_size=200))
def test_public_sections_are_pieces_of_the_text(text: str) -> None:
    whole = text.replace("\r\n", "\n").replace("\r", "\n")
    for body in both(text)[1].values():
        assert body in whole
        assert body == body.strip()


BODIES = st.lists(st.sampled_from(["clear", "no", "effusion", "heart", "normal,"]), min_size=1, max_size=30)


@given(st.dictionaries(st.sampled_from(["HISTORY", "COMPARISON", "TECHNIQUE", "FINDINGS", "IMPRESSION"]), BODIES))
def test_both_modes_agree_on_a_report_written_as_usual(bodies: dict[str, list[str]]) -> None:
    lines = {
        header: "\n ".join(" ".join(words[i : i + 8]) for i in range(0, len(words), 8))
        for header, words in bodies.items()
    }
    default, legacy = both("FINAL REPORT\n" + "".join(f" {header}:  {body}\n \n" for header, body in lines.items()))
    for header, words in bodies.items():
        assert default[header.lower()].split() == legacy[header.lower()].split() == words
