import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrflow.cohort.sections import canonical_name, clean_text, parse_sections, report_text

WORDS = ["the", "heart", "is", "enlarged", ".", "no", "effusion", ",", "seen"]
MIMIC = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___F with cough  // rule out pneumonia

 COMPARISON:  ___

 FINDINGS:

 PA and lateral views of the chest provided.   The lungs are
 clear.

 IMPRESSION:

 1.  No acute process.
 2.  Stable cardiomegaly
"""


def test_mimic_style_report() -> None:
    sections = parse_sections(MIMIC)
    assert sections["preamble"] == "FINAL REPORT"
    assert sections["examination"] == "CHEST (PA AND LAT)"
    assert sections["indication"] == "___F with cough // rule out pneumonia"
    assert sections["findings"] == "PA and lateral views of the chest provided. The lungs are clear."
    assert sections["impression"] == "No acute process. Stable cardiomegaly"
    assert report_text(sections) == f"{sections['findings']} {sections['impression']}"


def test_without_an_impression_the_findings_stand_alone() -> None:
    assert report_text(parse_sections("\n FINDINGS: Clear.\n\n IMPRESSION: \n")) == "Clear."


def test_without_both_the_text_after_the_first_blank_line_is_read() -> None:
    sections = parse_sections(" FINAL REPORT\n INDICATION: Fall.\n \n COMPARISON: None.\n \n No fracture is seen.\n")
    assert sections["comparison"] == "None."
    assert sections["last_paragraph"] == "No fracture is seen."
    assert report_text(sections) == "No fracture is seen."


@pytest.mark.parametrize("last", ["IMPRESSION:", "FINDINGS: ", "CHEST, TWO VIEWS:\n"])
def test_an_empty_section_at_the_end_does_not_hide_the_last_paragraph(last: str) -> None:
    sections = parse_sections(f" INDICATION: Fall.\n \n No fracture is seen.\n {last}\n")
    assert sections == {"indication": "Fall.", "last_paragraph": "No fracture is seen."}


def test_a_text_without_headers_is_read_whole() -> None:
    assert report_text(parse_sections("The lungs are clear.")) == "The lungs are clear."


def test_a_recommendation_inside_an_impression_does_not_end_it() -> None:
    text = " IMPRESSION: New nodule.\n Recommendation: CT of the chest.\n Notification: by phone.\n"
    assert parse_sections(text)["impression"] == "New nodule. Recommendation: CT of the chest. Notification: by phone."


def test_headers_in_lower_case_open_the_main_sections() -> None:
    sections = parse_sections("Findings: Heart is large.\nimpression: Cardiomegaly.\n")
    assert (sections["findings"], sections["impression"]) == ("Heart is large.", "Cardiomegaly.")


def test_a_wet_read_is_kept_apart() -> None:
    text = " WET READ: ___ 5:12 PM\n No pneumothorax.\n ________________\n FINAL REPORT\n FINDINGS: Tube in place.\n"
    sections = parse_sections(text)
    assert sections["wet_read"].startswith("___ 5:12 PM No pneumothorax.")
    assert report_text(sections) == "Tube in place."


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("IMPRESSION", "impression"), ("IMPRESSON", "impression"), ("CONCLUSION", "impression"),
        ("FINIDNGS", "findings"),
        ("REASON FOR EXAMINATION", "indication"), ("CLINICAL HISTORY", "history"), ("COMPARISONS", "comparison"),
        ("PA AND LATERAL VIEWS OF THE CHEST", "findings"), ("RECOMMENDATION(S)", "recommendation"), ("DOSE", "dose"),
        ("IMPERSSION", "impression"), ("FINDINGS/ IMPRESSION", "impression"), ("NDICATION", "indication"),
        ("FINDGINGS", "findings"), ("COMPARRISON", "comparison"), ("BONE WINDOWS", "findings"),
        ("RIGHT RIBS, FOUR VIEWS", "findings"), ("ADDENDUM TO THE REPORT", "addendum"), ("WETREAD", "wet_read"),
        ("PFI", "wet_read"), ("PROVISIONAL FINDINGS IMPRESSION (PFI)", "wet_read"),
    ],
)  # fmt: skip
def test_names_are_made_canonical(header: str, name: str) -> None:
    assert canonical_name(header) == name


def test_sections_that_come_twice_are_joined() -> None:
    assert parse_sections("\nIMPRESSION: One\nIMPRESSION: Two")["impression"] == "One. Two"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Compared to ____ and XXXX.", "Compared to ___ and ___."),
        ("1. No effusion\n2) Edema.", "No effusion. Edema."),
        ("Clear. 2. No nodule.", "Clear. No nodule."),
        ("- Clear\n- No nodule", "Clear. No nodule"),
        ("A nodule of 2. 5 cm in T12. Normal", "A nodule of 2. 5 cm in T12. Normal"),
    ],
)
def test_blanks_and_list_numbers(text: str, clean: str) -> None:
    assert clean_text(text) == clean


def test_a_provisional_impression_is_no_part_of_the_report() -> None:
    text = "\n PROVISIONAL FINDINGS IMPRESSION (PFI): Edema.\n\n FINDINGS: Clear.\n IMPRESSION: Normal.\n"
    assert report_text(parse_sections(text)) == "Clear. Normal."


@pytest.mark.parametrize(
    ("sections", "joined", "first"),
    [
        ({"findings": "Clear.", "impression": "Normal."}, "Normal. Clear.", "Normal."),
        ({"findings": "Clear.", "impression": " \n"}, "Clear.", "Clear."),
        ({"last_paragraph": "No change."}, "No change.", "No change."),
        ({"comparison": "None."}, "", ""),
    ],
)
def test_sections_are_joined_or_the_first_one_stands_alone(sections: dict[str, str], joined: str, first: str) -> None:
    order = ("impression", "findings")
    assert report_text(sections, order, "join") == joined
    assert report_text(sections, order, "first") == first


def test_the_last_paragraph_can_be_asked_for_by_name() -> None:
    assert report_text({"last_paragraph": "No change."}, ("impression", "last_paragraph"), "first") == "No change."


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["FINDINGS", "IMPRESSION", "CHEST, TWO VIEWS", "WET READ", "NOTE", "Comparison"]),
            st.text("aehorst T,;%/)\n\t", max_size=60),
        ),
        max_size=6,
    ),
    st.text("aehorst T\n", max_size=30),
)
def test_no_character_of_any_body_is_lost_or_doubled(pieces: list[tuple[str, str]], preamble: str) -> None:
    text = preamble + "".join(f"\n {header}: {body}" for header, body in pieces)
    bodies = "".join([preamble, *(body for _, body in pieces)])
    read = "".join(parse_sections(text).values())
    assert Counter(re.sub(r"[\s.]", "", read)) == Counter(re.sub(r"\s", "", bodies))  # full stops are added


@given(st.text(max_size=300))
def test_any_text_can_be_parsed(text: str) -> None:
    for value in parse_sections(text).values():
        assert value == " ".join(value.split())


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60))
def test_no_word_of_the_findings_is_lost(words: list[str]) -> None:
    lines = "\n ".join(" ".join(words[start : start + 7]) for start in range(0, len(words), 7))
    read = parse_sections(f" FINAL REPORT\n\n FINDINGS:  {lines}\n\n IMPRESSION: None.\n")
    if re.search(r"\w", lines):
        assert read["findings"].split() == words
