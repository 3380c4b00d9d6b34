"""Reading readers' answers: nothing is guessed, nothing is dropped without a word."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.prunecxr.survey_samples import SETTINGS, write_form

from cxrflow.errors import UserError
from cxrflow.prunecxr.survey_reading import parse_answer, read_survey
from cxrflow.prunecxr.survey_settings import SurveySettings


def full(agree: str = "yes", quality: object = "4", difficulty: object = "2") -> dict[str, object]:
    return {"agree": agree, "quality": quality, "difficulty": difficulty}


def key_of(path: Path, names: dict[str, object]) -> Path:
    pd.DataFrame({"filename": list(names), "is_pie": list(names.values())}).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(("said", "value"), [("yes", 1), ("Yes ", 1), ("NO", 0), ("", np.nan), (None, np.nan)])
def test_agreement_is_yes_or_no_in_any_case(said: object, value: float) -> None:
    assert parse_answer("agree", said) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("said", ["maybe", "y", "1", True, {"yes": True}, ["no"]])
def test_other_agreement_is_refused(said: object) -> None:
    with pytest.raises(ValueError, match="expected yes or no"):
        parse_answer("agree", said)


@pytest.mark.parametrize("said", ["0", "6", "3.5", "-1", "good", "1e0", "٣", "nan"])
def test_ratings_are_whole_numbers_from_one_to_five(said: str) -> None:
    assert parse_answer("quality", " 5") == parse_answer("difficulty", 5) == 5
    with pytest.raises(ValueError, match="expected a whole number from 1 to 5"):
        parse_answer("quality", said)


def test_the_key_tells_which_images_are_exemplars(tmp_path: Path) -> None:
    forms = [write_form(tmp_path / "a.csv", [("y.png", full("no", "3", "5")), ("x.png", full())])]
    answers, refused = read_survey(forms, key_of(tmp_path / "k.csv", {"x.png": 0, "y.png": "TRUE"}), SETTINGS)
    assert answers.to_dict("list") == {
        "form": ["a", "a"], "filename": ["x.png", "y.png"], "is_pie": [False, True],
        "agree": [1, 0], "quality": [4, 3], "difficulty": [2, 5],
    }  # fmt: skip
    assert refused.rows == []


def test_without_a_key_the_first_half_by_file_name_are_exemplars(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["d.png", "a.png", "c.png", "b.png"]
    # What can't be read keeps its place, else the halves would shift.
    rows = [(name, "no json" if name == "a.png" else full()) for name in names]
    with caplog.at_level(logging.WARNING):
        answers, refused = read_survey([write_form(tmp_path / "a.csv", rows)], None, SETTINGS)
    assert answers.loc[answers["is_pie"], "filename"].tolist() == ["a.png", "b.png"]
    assert "first half" in caplog.text
    assert len(refused.rows) == 1
    with pytest.raises(UserError, match="no half"):
        read_survey([write_form(tmp_path / "b.csv", rows[:3])], None, SETTINGS)


def test_rows_of_one_image_are_joined_and_the_first_answer_counts(tmp_path: Path) -> None:
    rows = [
        ("a.png", full("", "", "")),
        ("a.png", full("no", "", "1")),
        ("a.png", full("yes", "5", "3")),
        ("b.png", {}),
    ]
    answers, _ = read_survey([write_form(tmp_path / "a.csv", rows)], None, SETTINGS)
    assert answers["filename"].tolist() == ["a.png", "b.png"]
    assert answers.loc[0, ["agree", "quality", "difficulty"]].tolist() == [0, 5, 1]
    assert answers.loc[1, ["agree", "quality", "difficulty"]].isna().all()


def test_the_same_image_on_two_forms_is_two_answers(tmp_path: Path) -> None:
    forms = [write_form(tmp_path / f"{name}.csv", [("x.png", full()), ("y.png", full())]) for name in "ab"]
    answers, _ = read_survey(forms, None, SETTINGS)
    assert answers["form"].tolist() == ["a", "a", "b", "b"]


def test_a_refused_answer_is_told_and_the_others_of_its_row_stay(tmp_path: Path) -> None:
    rows = [("a.png", full("perhaps", "9", "2")), ("b.png", "[1, 2]"), ("", full()), ("c.png", full())]
    form = write_form(tmp_path / "a.csv", rows)
    answers, refused = read_survey([form], key_of(tmp_path / "k.csv", {"a.png": 1, "b.png": 0}), SETTINGS)
    assert answers.loc[0, ["agree", "quality", "difficulty"]].isna().tolist() == [True, True, False]
    reasons = [(row, reason.split(",")[0]) for _, row, _, reason in refused.rows]
    assert reasons == [
        ("a.png", "agree is 'perhaps'"),
        ("a.png", "quality is '9'"),
        ("b.png", "file_attributes is not a JSON object"),
        ("", "the row has no file name"),
        ("c.png", "the image is not in the key"),
    ]
    assert answers["filename"].tolist() == ["a.png", "b.png"]


def test_older_exports_and_byte_order_marks_are_read(tmp_path: Path) -> None:
    form = write_form(tmp_path / "a.csv", [("a.png", full()), ("b.png", full())], header="#filename")
    form.write_bytes(b"\xef\xbb\xbf" + form.read_bytes())
    assert len(read_survey([form], None, SETTINGS)[0]) == 2


def test_questions_may_be_worded_otherwise(tmp_path: Path) -> None:
    form = write_form(tmp_path / "a.csv", [("a.png", '{"OK?": "no"}'), ("b.png", "{}")])
    answers, _ = read_survey([form], None, SurveySettings(agree="OK?"))
    assert answers["agree"].iloc[0] == 0
    with pytest.raises(ValueError, match="same wording"):
        SurveySettings(agree="OK?", quality="OK?")


def test_files_that_are_no_forms_or_no_keys_are_errors(tmp_path: Path) -> None:
    form = write_form(tmp_path / "a.csv", [("a.png", full()), ("b.png", full())])
    (tmp_path / "other.csv").write_text("filename,x\na,1\n")
    with pytest.raises(UserError, match="file_attributes"):
        read_survey([tmp_path / "other.csv"], None, SETTINGS)
    with pytest.raises(UserError, match="is_pie"):
        read_survey([form], tmp_path / "other.csv", SETTINGS)
    with pytest.raises(UserError, match="'maybe'"):
        read_survey([form], key_of(tmp_path / "k.csv", {"a.png": "maybe"}), SETTINGS)
    (tmp_path / "k.csv").write_text("filename,is_pie\na.png,1\na.png,0\n")
    with pytest.raises(UserError, match="exemplars and not"):
        read_survey([form], tmp_path / "k.csv", SETTINGS)
    with pytest.raises(UserError, match="same file name"):
        read_survey([form, form], None, SETTINGS)
    with pytest.raises(UserError, match="no forms"):
        read_survey([], None, SETTINGS)
