"""Every bad input of the catalogue ends in a row of the quarantine or in an error with a hint."""

import pytest
from tests.bad_input.catalogue import AREAS, DOCUMENT, document

from cxrflow.errors import UserError

CASES = {f"{area.title}: {case.bad} ({case.place})": (area, case) for area in AREAS for case in area.cases}
SOUND = {area.title: area for area in AREAS if area.title != "Published predictions"}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_input_ends_in_a_row_or_in_an_error_with_a_hint(name, tmp_path):
    area, case = CASES[name]
    (tmp_path / "data").mkdir()
    made = area.build(tmp_path / "data")
    case.damage(made)
    if case.end == "row":
        assert {reason for reason in area.read(made) if reason.startswith(case.told)}, "accepted in silence"
        return
    with pytest.raises(UserError) as caught:
        area.read(made)
    message, _, hint = str(caught.value).partition("\nHint: ")
    assert case.told in message
    assert len(hint) > 10


@pytest.mark.parametrize("title", SOUND)
def test_what_the_cases_damage_is_sound_without_them(title, tmp_path):
    (tmp_path / "data").mkdir()
    area = SOUND[title]
    assert area.read(area.build(tmp_path / "data")) == []


def test_the_catalogue_covers_every_layout_and_names_each_case_once(root):
    assert len(CASES) == sum(len(area.cases) for area in AREAS) >= 40
    assert {case.end for _, case in CASES.values()} == {"row", "error"}


def test_the_document_is_the_catalogue(root):
    assert (root / DOCUMENT).read_text() == document(), "write it anew: python -m tests.bad_input.catalogue"
