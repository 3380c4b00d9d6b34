"""Reads the readers' answers from csv files as the VGG Image Annotator exports them, one file per form (reader)."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxrflow.cohort.quarantine import Quarantine
from cxrflow.errors import UserError
from cxrflow.prunecxr.survey_settings import QUESTIONS, RATINGS, SurveySettings

logger = logging.getLogger(__name__)

YES_NO = {"yes": 1.0, "no": 0.0}
TRUE_FALSE = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
COLUMNS = ["form", "filename", "is_pie", *QUESTIONS]


def read_survey(forms: Sequence[Path], key: Path | None, settings: SurveySettings) -> tuple[pd.DataFrame, Quarantine]:
    """Return one row per form and image, and the rows and answers that were refused.

    Columns: form (the file's name without its ending), filename, is_pie, agree (1 yes, 0 no), quality and difficulty (1
    to 5); an answer that was not given is NaN. Rows of one image in one form are joined, the first answer counts.
    Raises UserError for a file that is no export, or where nobody can tell which images are exemplars.
    """
    if not forms:
        raise UserError("The survey has no forms.", "give prunecxr.surveys.<cohort>.forms, the exported csv files.")
    names = [path.stem for path in forms]
    if len(set(names)) < len(names):
        raise UserError(
            "Two forms of the survey have the same file name.", "rename one: the name stands for the reader."
        )
    refused = Quarantine("prunecxr_survey")
    parts = [read_form(path, settings.wording, refused) for path in forms]
    for part, path in zip(parts, forms, strict=True):
        part["is_pie"] = _by_position(part, path) if key is None else None
    answers = pd.concat(parts, ignore_index=True)
    if key is None:
        logger.warning("No key of the survey is given: the first half of each form counts as exemplars.")
    else:
        answers = _by_key(answers, read_key(key), key, refused)
    return answers.astype({"is_pie": bool})[COLUMNS], refused


def read_form(path: Path, wording: Mapping[str, str], refused: Quarantine) -> pd.DataFrame:
    """Return one form: form, filename and one column per question, sorted by filename."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig").rename(
        columns={"#filename": "filename"}
    )
    missing = [name for name in ("filename", "file_attributes") if name not in table]
    if missing:
        raise UserError(
            f"{path} lacks the columns {missing}.", "export the annotations of the VGG Image Annotator as csv."
        )
    rows = []
    for filename, attributes in zip(table["filename"], table["file_attributes"], strict=True):
        if filename:
            rows.append({"filename": filename, **_answers(filename, attributes, wording, path, refused)})
        else:
            refused.add(str(path), "", "the row has no file name")
    read = pd.DataFrame(rows, columns=["filename", *QUESTIONS]).astype(dict.fromkeys(QUESTIONS, float))
    # The annotator writes a row per region of an image; `first` takes the first answer that is there.
    joined = read.groupby("filename", sort=True)[list(QUESTIONS)].first().reset_index()
    return joined.assign(form=path.stem)


def read_key(path: Path) -> pd.Series:
    """Return whether each file (index) of the survey shows an exemplar."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if not {"filename", "is_pie"} <= set(table):
        raise UserError(f"{path} lacks the column filename or is_pie.", "a key has one row per image with both.")
    values = table["is_pie"].str.strip().str.lower().map(TRUE_FALSE)
    if values.isna().any():
        found = sorted(table.loc[values.isna(), "is_pie"].unique())[:3]
        raise UserError(f"{path}: is_pie is {found}.", f"write one of {', '.join(TRUE_FALSE)}.")
    key = pd.Series(values.to_numpy(dtype=bool), index=table["filename"])
    both = key.groupby(level=0).min() != key.groupby(level=0).max()
    if both.any():
        raise UserError(f"{path} calls {int(both.sum())} images exemplars and not.", "give each image one answer.")
    return key[~key.index.duplicated()]


def parse_answer(question: str, answer: Any) -> float:
    """Return yes as 1 and no as 0, or a rating from 1 to 5; NaN where it is empty. Raises ValueError otherwise."""
    text = "" if answer is None else str(answer).strip()
    if not text:
        return np.nan
    if question in RATINGS:
        if text not in {"1", "2", "3", "4", "5"}:
            raise ValueError(f"{question} is {_short(text)}, expected a whole number from 1 to 5")
        return float(text)
    if text.lower() not in YES_NO:
        raise ValueError(f"{question} is {_short(text)}, expected yes or no")
    return YES_NO[text.lower()]


def _answers(
    filename: str, attributes: str, wording: Mapping[str, str], path: Path, refused: Quarantine
) -> dict[str, float]:
    """Return the answers of one row; what is refused is NaN, so that the image keeps its place in the form."""
    try:
        given = json.loads(attributes or "{}")
    except (json.JSONDecodeError, RecursionError):
        given = None
    if not isinstance(given, dict):
        refused.add(str(path), filename, "file_attributes is not a JSON object")
        given = {}
    answers = {}
    for question, words in wording.items():
        try:
            answers[question] = parse_answer(question, given.get(words))
        except ValueError as error:
            refused.add(str(path), filename, str(error))
            answers[question] = np.nan
    return answers


def _by_position(form: pd.DataFrame, path: Path) -> pd.Series:
    """Return True for the first half of a form sorted by file name: how the published forms were made."""
    if len(form) % 2:
        raise UserError(
            f"{path} has {len(form)} images, which has no half, and no key tells which of them are exemplars.",
            "give prunecxr.surveys.<cohort>.key, a csv with the columns filename and is_pie.",
        )
    return pd.Series(np.arange(len(form)) < len(form) // 2, index=form.index)


def _by_key(answers: pd.DataFrame, key: pd.Series, path: Path, refused: Quarantine) -> pd.DataFrame:
    known = answers["filename"].isin(key.index)
    for form, rows in answers[~known].groupby("form"):
        refused.add_rows(str(form), rows["filename"], "the image is not in the key")
    unread = int((~key.index.isin(answers["filename"])).sum())
    if unread:
        logger.warning("%d of %d images of %s are in no form.", unread, len(key), path)
    answers = answers[known].copy()
    answers["is_pie"] = key.loc[answers["filename"]].to_numpy()
    return answers


def _short(text: str) -> str:
    return repr(text if len(text) <= 30 else f"{text[:27]}...")
